internal import Synchronization
package import Tensors

/// The weights of a file by name and shape, without elements: for traces of the network that the file holds.
///
/// It notes which of them were asked for, so that a file with weights the model does not have is an error too.
package final class WeightShapes: ParameterSource {
  /// Where the weights lie, for messages.
  package let origin: String
  private let leaves: [String: Node]
  private let asked = Mutex<Set<String>>([])
  private let spelling: @Sendable (String) -> String

  /// - Parameter spelling: what the file calls a weight, for messages.
  package init(
    _ shapes: [String: Shape], origin: String, spelling: @escaping @Sendable (String) -> String = { $0 }
  ) {
    self.origin = origin
    self.spelling = spelling
    leaves = Dictionary(uniqueKeysWithValues: shapes.map { ($0, Node(leaf: $0, shape: $1)) })
  }

  package func contains(_ name: String) -> Bool { leaves[name] != nil }

  package func parameter(_ name: String, _ shape: Shape) throws(ParameterError) -> Parameter {
    guard let leaf = leaves[name] else { throw .missing(spelling(name), shape: shape, file: origin) }
    guard leaf.shape == shape else {
      throw .misshapen(spelling(name), expected: shape, found: leaf.shape, file: origin)
    }
    asked.withLock { _ = $0.insert(name) }
    return Parameter(name: name, shape: shape) { .placeholder(leaf) }
  }

  /// - Throws: if there are weights that no layer asked for.
  package func checkAllUsed() throws(ParameterError) {
    let unused = asked.withLock { asked in leaves.keys.filter { !asked.contains($0) } }.sorted()
    guard unused.isEmpty else { throw .unused(unused.map(spelling), file: origin) }
  }
}
