/// The operations that lead to one or several tensors, every one behind those it needs.
///
/// Read from the recording; nothing is used up. Export and cost estimates walk it.
package struct Trace: Sendable {
  package let nodes: [Node]

  package init(of tensors: Tensor...) { self.init(of: tensors) }

  package init(of tensors: [Tensor]) {
    var order: [Node] = []
    var done: Set<ObjectIdentifier> = []
    var stack = tensors.reversed().compactMap { $0.node.map { (node: $0, expanded: false) } }
    while let (node, expanded) = stack.popLast() {
      if expanded {
        order.append(node)
        continue
      }
      guard done.insert(ObjectIdentifier(node)).inserted else { continue }
      stack.append((node, true))
      for input in (node.history?.inputs ?? []).reversed() {
        if let input { stack.append((input, false)) }
      }
    }
    nodes = order
  }

  /// Multiplications and additions of one forward pass.
  package var floatingPointOperations: Int {
    nodes.reduce(0) { sum, node in
      guard let history = node.history else { return sum }
      return sum + history.operation.floatingPointOperations(history.inputShapes)
    }
  }
}
