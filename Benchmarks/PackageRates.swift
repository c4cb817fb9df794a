internal import ArgumentParser
internal import Foundation
internal import Kernels
internal import MILRuntime
internal import WeightFiles

/// Seconds that a package takes to load and to run, and its memory.
struct PackageRates: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "package", abstract: "Measure loading and running a package.")

  @Argument(help: "The package.", completion: .directory)
  var package: String

  @Option(help: "Named inputs, safetensors.", completion: .file(extensions: ["safetensors"]))
  var inputs: String

  @Option(help: "Runs after a first one that does not count; the median counts.")
  var runs = 3

  @OptionGroup var options: BenchmarkOutput

  private struct Rate: Encodable {
    let package: String
    /// Until every operation and weight record is checked.
    let loadSeconds: Double
    let seconds: Double
    let fastestSeconds: Double
    let peakGiB: Double
    let threads: Int
  }

  func validate() throws {
    guard runs > 0 else { throw ValidationError("--runs: expected 1 or more, found \(runs)") }
  }

  func run() throws {
    let clock = ContinuousClock()
    let file = try SafetensorsFile(path: inputs)
    let began = clock.now
    let model = try PackageModel(path: package)
    let load = clock.now - began
    var named: [String: NamedTensor] = [:]
    for feature in model.inputs where file.shape(of: feature.name) != nil {
      named[feature.name] = NamedTensor(
        shape: file.shape(of: feature.name) ?? [], elements: try file.floats(feature.name))
    }
    _ = try model.run(inputs: named)
    let seconds = try (0..<runs).map { _ in try clock.measure { _ = try model.run(inputs: named) } / .seconds(1) }
      .sorted()
    let rate = Rate(
      package: package, loadSeconds: load / .seconds(1), seconds: seconds[runs / 2], fastestSeconds: seconds[0],
      peakGiB: Double(ProcessMemory.peakBytes) / 1_073_741_824, threads: Parallel.threads)
    try options.show(
      rate,
      table: String(
        format: "loaded in %.3f s; a run takes %.3f s, the fastest %.3f s; peak memory %.3f GiB, %ld threads",
        rate.loadSeconds, rate.seconds, rate.fastestSeconds, rate.peakGiB, rate.threads))
  }
}
