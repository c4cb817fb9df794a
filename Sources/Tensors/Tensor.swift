package import Kernels

/// An immutable array of 32-bit floats that remembers how it was computed.
///
/// Images are channels-last, `[batch, height, width, channels]`, and sequences `[batch, tokens, features]`: 1×1
/// convolutions, linears and attention are matrix products on that layout as it stands.
package struct Tensor: Sendable {
  package let shape: Shape
  /// Nil while only shapes are traced (``Execution/tracing(_:)``), and where elements are made for every use.
  let storage: Buffer?
  /// How it was computed; nil for constants and outside of recordings.
  package let node: Node?
  /// Elements that are made for every use.
  private let make: (@Sendable () -> WeightElements)?

  package init(_ shape: Shape, _ buffer: Buffer) {
    precondition(
      buffer.count == shape.count, "tensor \(shape): \(buffer.count) elements in its buffer")
    self.shape = shape
    storage = buffer
    node = nil
    make = nil
  }

  init(shape: Shape, storage: Buffer?, node: Node?, make: (@Sendable () -> WeightElements)? = nil) {
    self.shape = shape
    self.storage = storage
    self.node = node
    self.make = make
  }

  /// A leaf whose elements are made for every use, and again for the gradient.
  package init(making make: @escaping @Sendable () -> WeightElements, leaf node: Node) {
    self.init(shape: node.shape, storage: nil, node: node, make: make)
  }

  /// The elements as a weight, for one use; a gradient keeps the way to them.
  var weight: @Sendable () -> WeightElements {
    if let make { return make }
    let buffer = buffer
    return { WeightElements(buffer) }
  }

  /// - Precondition: as many elements as the shape has.
  package init(_ shape: Shape, _ elements: [Float]) { self.init(shape, Buffer(elements)) }

  package init(_ scalar: Float) { self.init([], [scalar]) }

  package init(repeating value: Float, shape: Shape) {
    self.init(shape, Buffer(repeating: value, count: shape.count))
  }

  /// The elements, outermost axis slowest.
  ///
  /// - Precondition: not a tensor of a trace without data.
  package var buffer: Buffer {
    guard let storage = storage ?? make?().buffer else {
      preconditionFailure("tensor \(shape) of a trace has no elements")
    }
    return storage
  }

  /// A copy of the elements.
  package var elements: [Float] { buffer.elements }

  /// The only element.
  ///
  /// - Precondition: one element.
  package var scalar: Float {
    precondition(shape.count == 1, "scalar: \(shape) has \(shape.count) elements")
    return buffer[0]
  }

  /// The same elements as the start of a new history: gradients are asked for it by `name`.
  package func leaf(named name: String) -> Tensor {
    Tensor(shape: shape, storage: storage, node: Node(leaf: name, shape: shape), make: make)
  }

  /// The same elements with the identity of an existing leaf.
  package func leaf(_ node: Node) -> Tensor {
    precondition(node.shape == shape, "leaf \(node.name): \(shape) for \(node.shape)")
    return Tensor(shape: shape, storage: storage, node: node, make: make)
  }

  /// A named leaf without elements, for traces.
  package static func placeholder(named name: String, shape: Shape) -> Tensor {
    Tensor(shape: shape, storage: nil, node: Node(leaf: name, shape: shape))
  }

  /// A use of a leaf without elements, for traces.
  package static func placeholder(_ leaf: Node) -> Tensor {
    Tensor(shape: leaf.shape, storage: nil, node: leaf)
  }
}
