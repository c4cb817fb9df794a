internal import Kernels
internal import MILRuntime
internal import Tensors

extension PackageModel {
  /// The fixed shape of an input.
  func shape(of input: String, rank: Int) throws(GenerationError) -> [Int] {
    guard let feature = inputs.first(where: { $0.name == input }) else {
      throw .package(
        path: path, expected: "an input '\(input)'", found: inputs.map(\.name).joined(separator: ", "))
    }
    let shape = feature.shape.compactMap { $0 }
    guard shape.count == rank, feature.shape.count == rank else {
      throw .package(
        path: path, expected: "input '\(input)' of \(rank) fixed axes",
        found: "\(feature.shape.map { $0.map(String.init) ?? "?" })")
    }
    return shape
  }

  /// The first of several names that an input has: converters call some of them otherwise.
  func input(_ names: [String]) throws(GenerationError) -> String {
    guard let name = names.first(where: { name in inputs.contains { $0.name == name } }) else {
      throw .package(
        path: path, expected: "an input \(names.map { "'\($0)'" }.joined(separator: " or "))",
        found: inputs.map(\.name).joined(separator: ", "))
    }
    return name
  }

  /// What a VAE decoder's latents are called: coreml-diffusion has its own name.
  var latentInput: String {
    get throws(GenerationError) { try input(["z", "latent"]) }
  }

  /// The axes of an input, one of several ranks.
  func shape(of input: String, ranks: ClosedRange<Int>) throws(GenerationError) -> [Int] {
    let rank = inputs.first { $0.name == input }?.shape.count ?? ranks.lowerBound
    return try shape(of: input, rank: min(max(rank, ranks.lowerBound), ranks.upperBound))
  }

  /// Runs and picks one output.
  ///
  /// - Parameter output: its name; the only output if a package calls it otherwise.
  func result(_ output: String, inputs: [String: Tensor]) throws -> Tensor {
    let results = try results(inputs: inputs)
    guard let found = results[output] ?? (results.count == 1 ? results.first?.value : nil) else {
      throw GenerationError.package(
        path: path, expected: "an output '\(output)'",
        found: results.keys.sorted().joined(separator: ", "))
    }
    return found
  }

  /// All outputs by name.
  func results(inputs: [String: Tensor]) throws -> [String: Tensor] {
    try run(inputs: inputs.mapValues { NamedTensor(shape: $0.shape.axes, elements: $0.buffer) })
      .mapValues { Tensor(Shape($0.shape), $0.elements) }
  }
}
