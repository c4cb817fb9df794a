internal import Kernels
internal import Synchronization

/// How one tensor was computed: its operation and the nodes of its inputs.
///
/// A leaf has a name instead. The history is taken out by the walk that computes gradients, so that residuals are
/// freed as it passes and a long chain never unwinds recursively.
package final class Node: Sendable {
  /// What a node knows of its making.
  package struct History: Sendable {
    package let operation: any Operation
    package let inputs: [Node?]
    package let inputShapes: [Shape]
    /// From the gradient of the output to those of the inputs; nil in traces.
    let pullback: (@Sendable (Buffer, [Bool]) -> [Buffer?])?
  }

  /// The name of a leaf; of other nodes, their operation's.
  package let name: String
  package let shape: Shape
  /// The recomputed block this node was made in, if any.
  let scope: RecomputationScope?
  private let record: Mutex<History?>

  package init(leaf name: String, shape: Shape) {
    self.name = name
    self.shape = shape
    scope = nil
    record = Mutex(nil)
  }

  init(_ history: History, name: String, shape: Shape) {
    self.name = name
    self.shape = shape
    scope = Execution.scope
    record = Mutex(history)
  }

  deinit { unlink() }

  /// The recomputed block that this node belongs to, if any.
  package var block: ObjectIdentifier? { scope.map { ObjectIdentifier($0) } }

  package var history: History? { record.withLock { $0 } }

  /// Hands the history over and forgets it.
  func takeHistory() -> History? {
    record.withLock { history in
      defer { history = nil }
      return history
    }
  }

  /// Frees nodes that only this one keeps, one after the other instead of each from inside the last.
  private func unlink() {
    var pending = takeHistory().map { $0.inputs.compactMap { $0 } } ?? []
    while var node = pending.popLast() {
      guard isKnownUniquelyReferenced(&node) else { continue }
      if let history = node.takeHistory() { pending += history.inputs.compactMap { $0 } }
    }
  }
}
