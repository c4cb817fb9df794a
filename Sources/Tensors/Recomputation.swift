internal import Kernels

/// Marks the nodes that one run of a recomputed block makes.
final class RecomputationScope: Sendable {}

/// Runs a block whose inner results are not kept: the gradient computes them again.
///
/// Everything the block uses from outside, parameters too, is found by walking its recording once.
///
/// Where memory is no concern (``Execution/recomputing(_:)`` is off, the default), the block simply runs.
///
/// - Complexity: one more forward pass of the block in the backward pass; memory of its inputs only.
package func recomputed(_ block: @escaping @Sendable () -> Tensor) -> Tensor {
  guard Execution.recomputes, Execution.records else { return block() }
  let scope = RecomputationScope()
  // A trace only remembers which nodes belong together.
  guard Execution.computes else { return Execution.$scope.withValue(scope, operation: block) }
  let y = Execution.$scope.withValue(scope, operation: block)
  guard let node = y.node else { return y }
  let outside = Recomputation.boundary(of: node, scope)
  let operation = Recomputation(block: block, outside: outside)
  let history = Node.History(
    operation: operation, inputs: outside, inputShapes: outside.map(\.shape)
  ) { dy, needed in
    operation.pullback(dy, (), inputs: [], needed: needed)
  }
  return Tensor(
    shape: y.shape, storage: y.buffer,
    node: Node(history, name: Recomputation.name, shape: y.shape))
}

/// A block as one operation; its inputs are the nodes it reached outside of itself.
struct Recomputation: Operation {
  static let name = "recomputed"
  let block: @Sendable () -> Tensor
  let outside: [Node]

  func shape(of inputs: [Shape]) -> Shape {
    preconditionFailure("recomputed blocks are applied by recomputed(_:)")
  }

  func forward(_ x: [Tensor], into y: Buffer) {
    preconditionFailure("recomputed blocks are applied by recomputed(_:)")
  }

  func pullback(_ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]) -> [Buffer?] {
    let scope = RecomputationScope()
    let y = Execution.$scope.withValue(scope, operation: block)
    guard let node = y.node else { return outside.map { _ in nil } }
    var found: [ObjectIdentifier: Buffer] = [:]
    var walk = Backward(to: node, within: scope)
    walk.run(seed: dy) { leaf, gradient in found[ObjectIdentifier(leaf)] = gradient }
    return outside.map { found[ObjectIdentifier($0)] }
  }

  /// The nodes from outside of the block that its result depends on, in the order a walk meets them.
  static func boundary(of node: Node, _ scope: RecomputationScope) -> [Node] {
    var outside: [Node] = []
    var seen: Set<ObjectIdentifier> = [ObjectIdentifier(node)]
    var stack = [node]
    while let node = stack.popLast() {
      guard node.scope === scope else {
        outside.append(node)
        continue
      }
      for input in node.history?.inputs ?? [] {
        if let input, seen.insert(ObjectIdentifier(input)).inserted { stack.append(input) }
      }
    }
    return outside
  }
}
