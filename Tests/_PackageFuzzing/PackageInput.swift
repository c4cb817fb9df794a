package import Foundation
internal import Kernels
internal import MIL
internal import MILRuntime

/// A package's three files as one string of bytes, which a fuzzer can change and a test can keep.
///
///     0   bytes of the manifest: UInt32, bytes of the model: UInt32, both little-endian
///     8   the manifest, the model, and the weight file to the end
///
/// Of a compiled model the description (`coremldata.bin`) stands for the manifest and the text (`model.mil`) for the model; a
/// model that begins as such a text does is written as one.
package struct PackageInput {
  package var manifest: Data
  package var model: Data
  package var weights: Data

  /// The parts of any bytes: lengths beyond the end are cut.
  package init(_ bytes: Data) {
    func length(_ at: Int) -> Int {
      bytes.dropFirst(at).prefix(4).enumerated().reduce(0) { $0 + Int($1.element) << ($1.offset * 8) }
    }
    let body = bytes.dropFirst(8)
    manifest = Data(body.prefix(length(0)))
    model = Data(body.dropFirst(length(0)).prefix(length(4)))
    weights = Data(body.dropFirst(length(0)).dropFirst(length(4)))
  }

  /// - Parameter package: a folder with Apple's file names, compiled or not.
  package init(package: String) throws {
    func read(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: "\(package)/\(name)")) }
    if ModelPackage.isCompiled(package) {
      manifest = try read("coremldata.bin")
      model = try read("model.mil")
      weights = (try? read("weights/weight.bin")) ?? Data()
      return
    }
    manifest = try read("Manifest.json")
    model = try read("Data/com.apple.CoreML/model.mlmodel")
    weights = (try? read("Data/com.apple.CoreML/weights/weight.bin")) ?? Data()
  }

  package var bytes: Data {
    var bytes = Data()
    for part in [manifest, model] {
      withUnsafeBytes(of: UInt32(part.count).littleEndian) { bytes.append(contentsOf: $0) }
    }
    return bytes + manifest + model + weights
  }

  private var isCompiled: Bool { model.starts(with: "program".utf8) }

  package func write(to package: String) throws {
    let files = FileManager.default
    guard !isCompiled else {
      try? files.removeItem(atPath: package + "/Manifest.json")
      try files.createDirectory(atPath: package + "/weights", withIntermediateDirectories: true)
      try manifest.write(to: URL(filePath: package + "/coremldata.bin"))
      try model.write(to: URL(filePath: package + "/model.mil"))
      try weights.write(to: URL(filePath: package + "/weights/weight.bin"))
      return
    }
    let folder = package + "/Data/com.apple.CoreML"
    try files.createDirectory(atPath: folder + "/weights", withIntermediateDirectories: true)
    try manifest.write(to: URL(filePath: package + "/Manifest.json"))
    try model.write(to: URL(filePath: folder + "/model.mlmodel"))
    try weights.write(to: URL(filePath: folder + "/weights/weight.bin"))
  }
}

/// What became of a package.
package enum PackageOutcome: Equatable {
  case ran
  /// Sound, but more than a short run.
  case loaded
  /// The error's line.
  case refused(String)
}

/// Loads a package, reads its weights, and runs it on zeros if that is little work.
///
/// - Precondition: an error is one line; a finding stops the process.
package func tryPackage(_ path: String) -> PackageOutcome {
  do {
    let model = try PackageModel(path: path)
    let weights = try PackageWeights(path: path)
    // What was read can be written as text, or is refused by a line.
    _ = try CompiledModelWriter(ModelPackage(path)).text()
    for weight in weights.weights where weight.count < 1 << 16 { _ = weights.elements(of: weight) }
    var inputs: [String: NamedTensor] = [:]
    for input in model.inputs {
      let shape = input.shape.map { $0 ?? 1 }
      guard let count = TensorShape.count(shape), count < 1 << 16 else { return .loaded }
      inputs[input.name] = NamedTensor(
        shape: shape, elements: Buffer(repeating: 0, count: count))
    }
    guard model.peakMemoryBytes < 1 << 24 else { return .loaded }
    _ = try model.run(inputs: inputs)
    return .ran
  } catch {
    let line = "\(error)"
    precondition(!line.isEmpty && !line.contains("\n"), "an error of several lines: \(line)")
    return .refused(line)
  }
}
