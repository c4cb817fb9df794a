package import Kernels
internal import Synchronization
package import Tensors

/// Weights by name: the values of a model.
///
/// It notes which of them were asked for, so that a file with weights the model does not have is an error too.
package final class ParameterStore: ParameterSource {
  /// Where the weights came from, for messages.
  package let origin: String
  private let leaves: [String: Node]
  private let buffers: [String: Buffer]
  private let asked = Mutex<Set<String>>([])

  /// - Parameter weights: values by name; each becomes a leaf of that name for gradients.
  package init(_ weights: [String: (shape: Shape, buffer: Buffer)], origin: String) {
    self.origin = origin
    buffers = weights.mapValues(\.buffer)
    leaves = Dictionary(
      uniqueKeysWithValues: weights.map { name, weight in
        (name, Node(leaf: name, shape: weight.shape))
      })
  }

  package var names: [String] { leaves.keys.sorted() }

  package func shape(of name: String) -> Shape? { leaves[name]?.shape }

  package func buffer(_ name: String) -> Buffer? { buffers[name] }

  /// The same values but for one weight.
  package func replacing(_ name: String, with buffer: Buffer) -> ParameterStore {
    var weights = buffers.reduce(into: [String: (shape: Shape, buffer: Buffer)]()) { weights, weight in
      weights[weight.key] = leaves[weight.key].map { ($0.shape, weight.value) }
    }
    precondition(weights[name]?.shape.count == buffer.count, "no \(buffer.count) elements of \(name) to replace")
    weights[name]?.buffer = buffer
    return ParameterStore(weights, origin: origin)
  }

  /// The leaf under which gradients of this weight are delivered.
  package func leaf(_ name: String) -> Node? { leaves[name] }

  package func contains(_ name: String) -> Bool { leaves[name] != nil }

  package func parameter(_ name: String, _ shape: Shape) throws(ParameterError) -> Parameter {
    guard let leaf = leaves[name], let buffer = buffers[name] else {
      throw .missing(name, shape: shape, file: origin)
    }
    guard leaf.shape == shape else {
      throw .misshapen(name, expected: shape, found: leaf.shape, file: origin)
    }
    asked.withLock { _ = $0.insert(name) }
    return Parameter(name: name, shape: shape) { Tensor(shape, buffer).leaf(leaf) }
  }

  /// - Throws: if there are weights that no layer asked for.
  package func checkAllUsed() throws(ParameterError) {
    let unused = asked.withLock { asked in names.filter { !asked.contains($0) } }
    guard unused.isEmpty else { throw .unused(unused, file: origin) }
  }
}
