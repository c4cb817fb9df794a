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

  package func forward(_ x: [Tensor], into y: Buffer) -> ConvolutionGeometry.Residuals {
    geometry(x.map(\.shape)).forward(x, into: y)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: ConvolutionGeometry.Residuals, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    geometry(inputs).pullback(dy, residuals, needed: needed)
  }

  package func floatingPointOperations(_ inputs: [Shape]) -> Int { geometry(inputs).operations }
}
