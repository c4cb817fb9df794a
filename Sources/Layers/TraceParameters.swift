internal import Synchronization
package import Tensors

/// Weights that have names and shapes but no elements, for traces of a network.
package final class TraceParameters: ParameterSource {
  private let leaves = Mutex<[String: Node]>([:])

  package init() {}

  package func contains(_ name: String) -> Bool { true }

  package func parameter(_ name: String, _ shape: Shape) throws(ParameterError) -> Parameter {
    let leaf = leaves.withLock { leaves in
      let leaf = leaves[name] ?? Node(leaf: name, shape: shape)
      leaves[name] = leaf
      return leaf
    }
    return Parameter(name: name, shape: shape) { .placeholder(leaf) }
  }

  /// Names and shapes of all weights that were asked for.
  package var shapes: [String: Shape] { leaves.withLock { $0.mapValues(\.shape) } }
}
