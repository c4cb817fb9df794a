internal import Kernels
package import Layers
internal import Tensors

extension ParameterStore {
  /// Weights of a network that has learned nothing yet, as torch's layers and CLIP start:
  ///
  /// - matrices and kernels, and their biases: uniform within `±1/√(inputs · taps)` (`kaiming_uniform_` with `a = √5`);
  /// - embedding tables: normal with a deviation of 0.02;
  /// - norms: scale 1, shift 0.
  ///
  /// - Parameters:
  ///   - stream: of the random numbers, so that two networks of one seed differ.
  ///   - build: makes the network from a source, to learn the names and shapes of its weights.
  package convenience init(
    initialFor origin: String, seed: UInt64, stream: UInt32,
    _ build: (any ParameterSource) throws -> Void
  ) throws {
    let trace = TraceParameters()
    try build(trace)
    let shapes = trace.shapes
    var weights: NamedArrays = [:]
    for (index, name) in shapes.keys.sorted().enumerated() {
      guard let shape = shapes[name] else { continue }
      var random = CounterGenerator(seed: seed, stream: stream, step: index)
      weights[name] = (shape, Buffer(Self.initial(name, shape, shapes, &random)))
    }
    self.init(weights, origin: origin)
  }

  private static func initial(
    _ name: String, _ shape: Shape, _ shapes: [String: Shape], _ random: inout CounterGenerator
  ) -> [Float] {
    if name.contains("_embedding.weight"), shape.rank == 2 {
      return random.normals(shape.count).map { 0.02 * $0 }
    }
    let isBias = name.hasSuffix(".bias")
    let weight = isBias ? shapes[name.dropLast(4) + "weight"] ?? shape : shape
    guard weight.rank > 1 else { return [Float](repeating: isBias ? 0 : 1, count: shape.count) }
    let bound = 1 / Float(weight.count / weight[0]).squareRoot()
    return (0..<shape.count).map { _ in (2 * random.uniform() - 1) * bound }
  }
}
