package import Kernels

/// 2-D cross-correlation of channels-last images.
///
/// `x` is `[batch, height, width, inputs]`, the weight `[outputs, inputs, kernelHeight, kernelWidth]`, the bias
/// `[outputs]` and may be missing.
package struct Convolution2D: Operation {
  package static let name = "convolution"
  package let stride: Int
  /// Rows and columns of zeros at the top, left, bottom and right.
  package let padding: Padding

  package struct Padding: Sendable, Equatable {
    package let top, left, bottom, right: Int

    package init(top: Int, left: Int, bottom: Int, right: Int) {
      self.top = top
      self.left = left
      self.bottom = bottom
      self.right = right
    }

    package init(vertical: Int, horizontal: Int) {
      self.init(top: vertical, left: horizontal, bottom: vertical, right: horizontal)
    }

    package init(_ all: Int) { self.init(vertical: all, horizontal: all) }
  }

  package init(stride: Int, padding: Padding) {
    self.stride = stride
    self.padding = padding
  }

  func geometry(_ inputs: [Shape]) -> ConvolutionGeometry {
    let (x, w) = (inputs[0], inputs[1])
    precondition(
      x.rank == 4 && w.rank == 4 && x[3] == w[1] && (inputs.count < 3 || inputs[2] == [w[0]]),
      "convolution: input \(x), weight \(w), bias \(inputs.count < 3 ? "none" : "\(inputs[2])")")
    return ConvolutionGeometry(
      batch: x[0], height: x[1], width: x[2], inputs: x[3], outputs: w[0], kernelHeight: w[2],
      kernelWidth: w[3], stride: stride, top: padding.top, left: padding.left,
      bottom: padding.bottom, right: padding.right)
  }

  package func shape(of inputs: [Shape]) -> Shape {
    let g = geometry(inputs)
    return [g.batch, g.outputHeight, g.outputWidth, g.outputs]
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> (x: Buffer, weight: Buffer) {
    Convolution.forward(
      x[0].buffer, weight: x[1].buffer, bias: x.count > 2 ? x[2].buffer : nil, into: y,
      geometry(x.map(\.shape)))
    return (x[0].buffer, x[1].buffer)
  }

  package func pullback(
    _ dy: Buffer, _ saved: (x: Buffer, weight: Buffer), inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let g = geometry(inputs)
    var gradients = [Buffer?](repeating: nil, count: inputs.count)
    if needed[0] {
      let dx = Buffer(uninitialized: saved.x.count)
      Convolution.inputGradient(dy, weight: saved.weight, into: dx, g)
      gradients[0] = dx
    }
    if needed[1] {
      let dw = Buffer(uninitialized: saved.weight.count)
      Convolution.weightGradient(saved.x, dy: dy, into: dw, g)
      gradients[1] = dw
    }
    if inputs.count > 2, needed[2] { gradients[2] = Rows.columnSums(dy, width: g.outputs) }
    return gradients
  }

  package func floatingPointOperations(_ inputs: [Shape]) -> Int { geometry(inputs).operations }
}
