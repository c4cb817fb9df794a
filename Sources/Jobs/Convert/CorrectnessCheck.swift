internal import Foundation
internal import Kernels
internal import MILRuntime
internal import StableDiffusion
internal import Tensors
internal import WeightFiles

/// Asks a package and the model that it was made of the same question, and compares the answers.
struct CorrectnessCheck {
  /// The model natively.
  let reference: RunTarget

  /// Apple's floor for a conversion that is right, in dB.
  static let floor = 35.0

  /// What equal outputs are given, as Apple's formula gives about that.
  static let equality = 200.0

  /// - Returns: a figure for each output.
  func callAsFunction(_ package: ConvertJob.Package) throws -> [ConvertJob.Check] {
    let folder = NSTemporaryDirectory() + "sdtune-check-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let features = try PackageModel(path: package.path).inputs
    let inputs = try features.enumerated().map { index, feature in
      (feature.name, try values(feature, seed: UInt64(100 + index)))
    }
    let found = try answers(RunTarget(package.path), inputs, folder + "/package")
    let expected = try answers(reference, inputs.map { forEngine($0.0, $0.1) }, folder + "/engine")
    return try found.names.sorted().map { name in
      // What packages call pooled is the projection where there is one.
      let source =
        name == "pooled_outputs" && expected.names.contains("text_embeds") ? "text_embeds" : name
      let (x, y) = (try expected.floats(source), try found.floats(name))
      guard x.count == y.count else {
        throw JobError.unusable(
          file: package.path, expected: "output '\(name)' of \(x.count) values", found: "\(y.count)")
      }
      let error = SignalError(x, y)
      return ConvertJob.Check(
        output: name, psnr: error.maximum == 0 ? Self.equality : error.psnr,
        applePSNR: error.applePSNR)
    }
  }

  /// Something to ask: random numbers in half precision, as all but token numbers are given.
  private func values(_ feature: PackageFeature, seed: UInt64) throws -> Tensor {
    let shape = Shape(feature.shape.map { $0 ?? 1 })
    var generator = TorchGenerator(seed: seed)
    let normals = generator.normals(shape.count)
    switch feature.name {
    case "input_ids":
      let vocabulary = try reference.vocabulary()
      let words = normals.indices.map { Float((7919 * $0 + 13) % max(1, vocabulary - 1)) }
      // The largest number, which ends a text, stands in the last place only.
      return Tensor(shape, words.dropLast() + [Float(vocabulary - 1)])
    case "timestep": return Tensor(repeating: 500, shape: shape)
    case "adjustment": return Tensor(repeating: 0, shape: shape)
    case "time_ids":
      return Tensor(shape, normals.indices.map { [512, 512, 0, 0, 512, 512][$0 % (shape.axes.last ?? 6) % 6] })
    default: return Tensor(shape, HalfPrecision.rounded(Buffer(normals)))
    }
  }

  /// The engine takes text states as `[batch, tokens, features]`.
  private func forEngine(_ name: String, _ x: Tensor) -> (String, Tensor) {
    guard name == "encoder_hidden_states", x.shape.rank == 4 else { return (name, x) }
    return (name, x.reshaped([x.shape[0], x.shape[1], x.shape[3]]).permuted(0, 2, 1))
  }

  private func answers(
    _ target: RunTarget, _ inputs: [(String, Tensor)], _ path: String
  ) throws -> SafetensorsFile {
    let tensors = inputs.map { name, x in (name, x.shape.axes, x.buffer) }
    try SafetensorsWriter.write(tensors: tensors, metadata: [:], to: path + "-in.safetensors")
    _ = try target(
      inputs: path + "-in.safetensors", outputs: path + "-out.safetensors")
    return try SafetensorsFile(path: path + "-out.safetensors")
  }
}
