internal import Layers
internal import Tensors

/// Two convolutions around a skip connection, shifted by the timestep.
///
///     h = conv1(silu(norm1(x))) + time_emb_proj(silu(t))
///     y = conv2(silu(norm2(h))) + skip(x)
///
/// Known to diffusers as `ResnetBlock2D`; the VAE uses it without a timestep.
struct ResidualBlock: Sendable {
  private let norm1, norm2: GroupNormLayer
  private let conv1, conv2: ConvolutionLayer
  private let time: LinearLayer?
  /// A 1×1 convolution, present when the block changes the channel count.
  private let skip: ConvolutionLayer?

  /// - Parameter timeFeatures: of the timestep embedding; nil in the VAE.
  init(
    _ scope: ParameterScope, inputs: Int, outputs: Int, timeFeatures: Int?, groups: Int,
    epsilon: Float
  ) throws(ParameterError) {
    norm1 = try GroupNormLayer(
      scope["norm1"], channels: inputs, groups: groups, epsilon: epsilon, silu: true)
    conv1 = try ConvolutionLayer(scope["conv1"], inputs: inputs, outputs: outputs, kernel: 3)
    if let timeFeatures {
      time = try LinearLayer(scope["time_emb_proj"], inputs: timeFeatures, outputs: outputs)
    } else {
      time = nil
    }
    norm2 = try GroupNormLayer(
      scope["norm2"], channels: outputs, groups: groups, epsilon: epsilon, silu: true)
    conv2 = try ConvolutionLayer(scope["conv2"], inputs: outputs, outputs: outputs, kernel: 3)
    skip =
      inputs == outputs
      ? nil
      : try ConvolutionLayer(scope["conv_shortcut"], inputs: inputs, outputs: outputs, kernel: 1)
  }

  /// - Parameters:
  ///   - x: `[batch, height, width, inputs]`
  ///   - time: the activated timestep embedding, `[batch, timeFeatures]`
  /// - Returns: `[batch, height, width, outputs]`
  func callAsFunction(_ x: Tensor, time embedding: Tensor? = nil) -> Tensor {
    // One after the other, so that at most the input and two images of the block are in memory.
    var h = norm1(x)
    h = conv1(h)
    if let time, let embedding {
      let shift = time(embedding)
      h = h + shift.reshaped([shift.shape[0], 1, 1, shift.shape[1]])
    }
    h = norm2(h)
    h = conv2(h)
    return h + (skip?(x) ?? x)
  }
}
