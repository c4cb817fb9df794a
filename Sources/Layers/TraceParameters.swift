internal import Synchronization
package import Tensors

/// Weights that have names and shapes but no elements, for traces of a network.
package final class TraceParameters: ParameterSource {
  private let leaves = Mutex<[String: Node]>([:])

  package init() {}

  package func contains(_ name: String) -> Bool { true }

  package func parameter(_ name: String, _ shape: Shape) throws(ParameterError) -> Parameter {
    let leaf = leaves.withLock { leaves in
      if let known = leaves[name] { return known }
      let made = Tensor.placeholder(named: name, shape: shape).node
      leaves[name] = made
      return made
    }
    guard let leaf else { preconditionFailure("placeholder \(name) without a node") }
    return Parameter(name: name, shape: shape) { .placeholder(leaf) }
  }

  /// Names and shapes of all weights that were asked for.
  package var shapes: [String: Shape] { leaves.withLock { $0.mapValues(\.shape) } }
}
