package import Layers
package import Tensors

/// Pictures to latents; known to diffusers as the encoder half of `AutoencoderKL`.
package struct AutoencoderEncoder: Sendable {
  package let configuration: AutoencoderConfiguration
  private let convolutionIn, convolutionOut, quantization: ConvolutionLayer
  private let levels: [EncoderLevel]
  private let middle: AutoencoderMiddle
  private let normOut: GroupNormLayer

  package init(
    _ source: any ParameterSource, _ configuration: AutoencoderConfiguration
  ) throws(ParameterError) {
    let root = ParameterScope(source)
    let scope = root["encoder"]
    let channels = configuration.blockChannels
    let deepest = channels[channels.count - 1]
    let moments = 2 * configuration.latentChannels
    self.configuration = configuration
    convolutionIn = try ConvolutionLayer(
      scope["conv_in"], inputs: configuration.imageChannels, outputs: channels[0], kernel: 3)
    var levels: [EncoderLevel] = []
    for level in channels.indices {
      levels.append(
        try EncoderLevel(
          scope["down_blocks"][level], inputs: channels[max(0, level - 1)],
          outputs: channels[level], halves: level < channels.count - 1, in: configuration))
    }
    self.levels = levels
    middle = try AutoencoderMiddle(scope["mid_block"], channels: deepest, in: configuration)
    normOut = try GroupNormLayer(
      scope["conv_norm_out"], channels: deepest, groups: configuration.groups, epsilon: 1e-6,
      silu: true)
    convolutionOut = try ConvolutionLayer(
      scope["conv_out"], inputs: deepest, outputs: moments, kernel: 3)
    quantization = try ConvolutionLayer(
      root["quant_conv"], inputs: moments, outputs: moments, kernel: 1)
  }

  /// - Parameter x: pictures from −1 to 1, `[batch, height, width, imageChannels]`
  /// - Returns: mean and log-variance side by side, `[batch, height / 2ⁿ, width / 2ⁿ, 2 latentChannels]`
  package func callAsFunction(_ x: Tensor) -> Tensor {
    var h = convolutionIn(x)
    for level in levels { level(&h) }
    return quantization(convolutionOut(normOut(middle(h))))
  }
}

/// Latents to pictures; known to diffusers as the decoder half of `AutoencoderKL`.
package struct AutoencoderDecoder: Sendable {
  package let configuration: AutoencoderConfiguration
  private let quantization, convolutionIn, convolutionOut: ConvolutionLayer
  private let middle: AutoencoderMiddle
  private let levels: [DecoderLevel]
  private let normOut: GroupNormLayer

  package init(
    _ source: any ParameterSource, _ configuration: AutoencoderConfiguration
  ) throws(ParameterError) {
    let root = ParameterScope(source)
    let scope = root["decoder"]
    let channels = Array(configuration.blockChannels.reversed())
    let latents = configuration.latentChannels
    self.configuration = configuration
    quantization = try ConvolutionLayer(
      root["post_quant_conv"], inputs: latents, outputs: latents, kernel: 1)
    convolutionIn = try ConvolutionLayer(
      scope["conv_in"], inputs: latents, outputs: channels[0], kernel: 3)
    middle = try AutoencoderMiddle(scope["mid_block"], channels: channels[0], in: configuration)
    var levels: [DecoderLevel] = []
    for level in channels.indices {
      levels.append(
        try DecoderLevel(
          scope["up_blocks"][level], inputs: channels[max(0, level - 1)],
          outputs: channels[level], doubles: level < channels.count - 1, in: configuration))
    }
    self.levels = levels
    let finest = channels[channels.count - 1]
    normOut = try GroupNormLayer(
      scope["conv_norm_out"], channels: finest, groups: configuration.groups, epsilon: 1e-6,
      silu: true)
    convolutionOut = try ConvolutionLayer(
      scope["conv_out"], inputs: finest, outputs: configuration.imageChannels, kernel: 3)
  }

  /// - Parameter z: latents without the scaling factor, `[batch, height, width, latentChannels]`
  /// - Returns: pictures from −1 to 1, `[batch, height · 2ⁿ, width · 2ⁿ, imageChannels]`
  package func callAsFunction(_ z: Tensor) -> Tensor {
    var h = middle(convolutionIn(quantization(z)))
    for level in levels { h = level(h) }
    return convolutionOut(normOut(h))
  }
}
