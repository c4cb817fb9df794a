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
