internal import CKernels

/// The geometry of a 2-D convolution over channels-last images.
///
/// `x` is `[batch, height, width, inputs]`, `y` is `[batch, outputHeight, outputWidth, outputs]`, the weight is
/// `[outputs, inputs, kernelHeight, kernelWidth]`, as diffusers and Core ML store it.
package struct ConvolutionGeometry: Sendable, Equatable {
  package var batch: Int
  package var height: Int
  package var width: Int
  package var inputs: Int
  package var outputs: Int
  package var kernelHeight: Int
  package var kernelWidth: Int
  package var stride: Int
  /// Rows and columns of zeros around the image.
  package var top: Int
  package var left: Int
  package var bottom: Int
  package var right: Int

  package init(
    batch: Int, height: Int, width: Int, inputs: Int, outputs: Int, kernelHeight: Int = 1,
    kernelWidth: Int = 1, stride: Int = 1, top: Int = 0, left: Int = 0, bottom: Int = 0,
    right: Int = 0
  ) {
    self.batch = batch
    self.height = height
    self.width = width
    self.inputs = inputs
    self.outputs = outputs
    self.kernelHeight = kernelHeight
    self.kernelWidth = kernelWidth
    self.stride = stride
    self.top = top
    self.left = left
    self.bottom = bottom
    self.right = right
  }

  package var outputHeight: Int { (height + top + bottom - kernelHeight) / stride + 1 }
  package var outputWidth: Int { (width + left + right - kernelWidth) / stride + 1 }
  /// Positions of the output over the whole batch.
  package var rows: Int { batch * outputHeight * outputWidth }
  var taps: Int { kernelHeight * kernelWidth }
  /// Length of one unfolded patch.
  package var patch: Int { taps * inputs }
  /// Whether the convolution is a product of matrices as it stands.
  var isPointwise: Bool {
    taps == 1 && stride == 1 && top == 0 && left == 0 && bottom == 0 && right == 0
  }
  /// Whether it is a 3×3 kernel of stride 1 on an image of the output's size.
  var keepsSize: Bool {
    kernelHeight == 3 && kernelWidth == 3 && stride == 1 && top == 1 && left == 1 && bottom == 1 && right == 1
  }
  /// Multiplications and additions of the direct algorithm.
  package var operations: Int { 2 * rows * outputs * patch }

  /// As the C kernels take it.
  var shape: sd_convolution {
    sd_convolution(
      height: height, width: width, channels: inputs, output_height: outputHeight,
      output_width: outputWidth, kernel_height: kernelHeight, kernel_width: kernelWidth,
      stride: stride, top: top, left: left)
  }

  /// The convolution that carries `dy` back to `dx`; only for stride 1.
  var transposed: ConvolutionGeometry {
    ConvolutionGeometry(
      batch: batch, height: outputHeight, width: outputWidth, inputs: outputs, outputs: inputs,
      kernelHeight: kernelHeight, kernelWidth: kernelWidth, top: kernelHeight - 1 - top,
      left: kernelWidth - 1 - left, bottom: kernelHeight - 1 - bottom,
      right: kernelWidth - 1 - right)
  }
}
