package import Kernels

extension Tensor {
  /// The same elements in another shape.
  package func reshaped(_ shape: Shape) -> Tensor { Reshape(target: shape)(self) }
  /// Axis `a` of the result is axis `order[a]` of this tensor.
  package func permuted(_ order: Int...) -> Tensor { Permute(order: order)(self) }
  /// `[batch, channels, height, width]` to `[batch, height, width, channels]`.
  package func channelsLast() -> Tensor { permuted(0, 2, 3, 1) }
  /// `[batch, height, width, channels]` to `[batch, channels, height, width]`.
  package func channelsFirst() -> Tensor { permuted(0, 3, 1, 2) }
}

/// The same elements, counted off in another shape.
package struct Reshape: Operation {
  package static let name = "reshape"
  package let target: Shape

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(inputs[0].count == target.count, "reshape: \(inputs[0]) to \(target)")
    return target
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    Shaping.copyRows(
      x[0].buffer, stride: y.count, into: y, targetStride: y.count, rows: 1, width: y.count)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] { [dy] }
}

/// Axes in another order.
package struct Permute: Operation {
  package static let name = "permute"
  package let order: [Int]

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      order.sorted() == Array(0..<inputs[0].rank), "permute: \(inputs[0]) by \(order)")
    return Shape(order.map { inputs[0][$0] })
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    Shaping.permute(x[0].buffer, shape: x[0].shape.axes, order: order, into: y)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: dy.count)
    let inverse = order.indices.map { order.firstIndex(of: $0)! }
    Shaping.permute(dy, shape: shape(of: inputs).axes, order: inverse, into: dx)
    return [dx]
  }
}

/// Tensors side by side on the last axis.
package struct Concatenate: Operation {
  package static let name = "concatenate"

  package init() {}

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs.allSatisfy { $0.axes.dropLast() == inputs[0].axes.dropLast() },
      "concatenate: \(inputs)")
    return inputs[0].replacing(-1, with: inputs.reduce(0) { $0 + $1.last })
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    let width = x.reduce(0) { $0 + $1.shape.last }
    var at = 0
    for part in x {
      let own = part.shape.last
      Shaping.copyRows(
        part.buffer, stride: own, into: y, at: at, targetStride: width, rows: y.count / width,
        width: own)
      at += own
    }
  }

  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let width = inputs.reduce(0) { $0 + $1.last }
    var at = 0
    return inputs.map { shape in
      let dx = Buffer(uninitialized: shape.count)
      Shaping.copyRows(
        dy, offset: at, stride: width, into: dx, targetStride: shape.last,
        rows: dy.count / width, width: shape.last)
      at += shape.last
      return dx
    }
  }
}
