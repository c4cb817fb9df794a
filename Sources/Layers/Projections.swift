package import Tensors

/// `y = x Wᵀ + b` on the last axis.
package struct LinearLayer: Sendable {
  let weight: Parameter
  let bias: Parameter?

  /// Weight `[outputs, inputs]`, bias `[outputs]`.
  package init(
    _ scope: ParameterScope, inputs: Int, outputs: Int, bias: Bool = true
  ) throws(ParameterError) {
    weight = try scope.parameter("weight", [outputs, inputs])
    self.bias = bias ? try scope.parameter("bias", [outputs]) : nil
  }

  /// `[…, inputs]` to `[…, outputs]`.
  package func callAsFunction(_ x: Tensor) -> Tensor {
    Linear().apply([x, weight.value] + (bias.map { [$0.value] } ?? []))
  }
}

/// A convolution of channels-last images.
package struct ConvolutionLayer: Sendable {
  let weight: Parameter
  let bias: Parameter
  let operation: Convolution2D

  /// Weight `[outputs, inputs, kernel, kernel]`, bias `[outputs]`.
  ///
  /// - Parameter padding: zeros around the image; half the kernel if not given.
  package init(
    _ scope: ParameterScope, inputs: Int, outputs: Int, kernel: Int, stride: Int = 1,
    padding: Convolution2D.Padding? = nil
  ) throws(ParameterError) {
    weight = try scope.parameter("weight", [outputs, inputs, kernel, kernel])
    bias = try scope.parameter("bias", [outputs])
    operation = Convolution2D(
      stride: stride, padding: padding ?? Convolution2D.Padding(kernel / 2))
  }

  /// `[batch, height, width, inputs]` to `[batch, height', width', outputs]`.
  package func callAsFunction(_ x: Tensor) -> Tensor {
    operation(x, weight.value, bias.value)
  }
}

/// A projection of image tokens that diffusers stores as a linear or as a 1×1 convolution, by version.
package struct TokenProjection: Sendable {
  private let weight: Parameter
  private let bias: Parameter
  private let isConvolution: Bool

  package init(
    _ scope: ParameterScope, inputs: Int, outputs: Int, convolution: Bool
  ) throws(ParameterError) {
    weight = try scope.parameter(
      "weight", convolution ? [outputs, inputs, 1, 1] : [outputs, inputs])
    bias = try scope.parameter("bias", [outputs])
    isConvolution = convolution
  }

  /// `[batch, tokens, inputs]` to `[batch, tokens, outputs]`.
  package func callAsFunction(_ x: Tensor) -> Tensor {
    guard isConvolution else { return Linear()(x, weight.value, bias.value) }
    let image = x.reshaped([x.shape[0], 1, x.shape[1], x.shape[2]])
    let y = Convolution2D(stride: 1, padding: .init(0))(image, weight.value, bias.value)
    return y.reshaped([x.shape[0], x.shape[1], y.shape[3]])
  }
}
