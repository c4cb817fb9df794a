package import Kernels

/// Gradients of a scalar with respect to named leaves.
package struct Gradients: Sendable {
  package private(set) var buffers: [String: Buffer]

  package init(_ buffers: [String: Buffer]) { self.buffers = buffers }

  package subscript(name: String) -> Buffer? { buffers[name] }
}

extension Tensor {
  /// Gradients of this tensor with respect to every leaf it depends on.
  ///
  /// The history is used up: a second call finds nothing.
  ///
  /// - Parameter seed: the gradient of this tensor, ones if not given.
  package func gradients(seed: Tensor? = nil) -> Gradients {
    var buffers: [String: Buffer] = [:]
    gradients(seed: seed) { name, gradient in
      if let earlier = buffers[name] {
        Elementwise.accumulate(gradient, into: earlier)
      } else {
        buffers[name] = gradient
      }
    }
    return Gradients(buffers)
  }

  /// The same, handing over each leaf's gradient as soon as it is complete.
  package func gradients(seed: Tensor? = nil, deliver: (String, Buffer) -> Void) {
    guard let node else { return }
    let seed = seed?.buffer ?? Buffer(repeating: 1, count: shape.count)
    precondition(seed.count == shape.count, "gradients: seed of \(seed.count) for \(shape)")
    var walk = Backward(to: node, within: nil)
    walk.run(seed: seed) { leaf, gradient in
      deliver(leaf.name, gradient)
    }
  }
}

/// One walk from an output back to the leaves.
struct Backward {
  private let root: Node
  /// Consumers of each node that have not delivered yet.
  private var pending: [ObjectIdentifier: Int] = [:]
  /// Only nodes of this block are entered; all others count as leaves.
  private let scope: RecomputationScope?

  init(to root: Node, within scope: RecomputationScope?) {
    self.root = root
    self.scope = scope
    var stack = [root]
    while let node = stack.popLast() {
      guard enters(node), let history = node.history else { continue }
      for input in history.inputs {
        guard let input else { continue }
        let seen = pending[ObjectIdentifier(input)]
        pending[ObjectIdentifier(input)] = (seen ?? 0) + 1
        if seen == nil { stack.append(input) }
      }
    }
  }

  /// Whether the walk goes through this node, or ends there.
  private func enters(_ node: Node) -> Bool { scope == nil || node.scope === scope }

  /// Leaves of this walk with their gradients, each when its last consumer has delivered.
  mutating func run(seed: Buffer, deliver: (Node, Buffer) -> Void) {
    var gradients: [ObjectIdentifier: Buffer] = [ObjectIdentifier(root): seed]
    var ready = [root]
    while let node = ready.popLast() {
      guard let gradient = gradients.removeValue(forKey: ObjectIdentifier(node)) else { continue }
      guard enters(node), let history = node.takeHistory(), let pullback = history.pullback else {
        deliver(node, gradient)
        continue
      }
      let parts = pullback(gradient, history.inputs.map { $0 != nil })
      precondition(parts.count == history.inputs.count, "\(node.name): wrong gradient count")
      for (input, part) in zip(history.inputs, parts) {
        guard let input else { continue }
        let key = ObjectIdentifier(input)
        if let part { gradients[key] = gradients[key].map { sum($0, part) } ?? part }
        pending[key, default: 1] -= 1
        if pending[key] == 0 { ready.append(input) }
      }
    }
  }

  private func sum(_ x: Buffer, _ y: Buffer) -> Buffer {
    let z = Buffer(uninitialized: x.count)
    Elementwise.combine(x, .add, y, into: z)
    return z
  }
}
