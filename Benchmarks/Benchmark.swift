package import ArgumentParser
internal import Foundation

/// `sdtune benchmark`: full-size models of random weights, and how fast and large everything is on them.
package struct Benchmark: ParsableCommand {
  package static let configuration = CommandConfiguration(
    abstract: "Measure sdtune on models of random weights and full-size shapes.",
    subcommands: [
      MakeModel.self, KernelRates.self, StepRates.self, KMeansRates.self, PackageRates.self, PictureRates.self,
    ])

  package init() {}
}

/// What every benchmark takes.
struct BenchmarkOutput: ParsableArguments {
  @Flag(help: "Print the figures as JSON.")
  var json = false

  /// Prints figures: JSON if asked for, a table otherwise.
  func show(_ figures: some Encodable, table: String) throws {
    print(json ? String(decoding: try Self.encoded(figures), as: UTF8.self) : table)
  }

  static func encoded(_ figures: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(figures)
  }
}
