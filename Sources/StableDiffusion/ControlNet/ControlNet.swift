package import Layers
package import Tensors

/// A copy of a UNet's way down that also sees a control picture, and adds to the UNet's skips (Zhang et al. 2023).
///
/// Known to diffusers as `ControlNetModel`.
package struct ControlNet: Sendable {
  package let configuration: UNetConfiguration
  /// Pixels of the picture for a latent pixel.
  package let magnification: Int
  private let way: UNetDescent
  private let picture: ControlPictureEmbedding
  private let downConvolutions: [ConvolutionLayer]
  private let middleConvolution: ConvolutionLayer

  package init(
    _ source: any ParameterSource, _ configuration: UNetConfiguration, pictureChannels: [Int]
  ) throws(ParameterError) {
    let scope = ParameterScope(source)
    let channels = configuration.blockChannels
    self.configuration = configuration
    magnification = 1 << (pictureChannels.count - 1)
    way = try UNetDescent(scope, in: configuration)
    picture = try ControlPictureEmbedding(
      scope["controlnet_cond_embedding"], channels: pictureChannels, outputs: channels[0])
    var convolutions: [ConvolutionLayer] = []
    for (index, width) in configuration.skipChannels.enumerated() {
      convolutions.append(
        try ConvolutionLayer(
          scope["controlnet_down_blocks"][index], inputs: width, outputs: width, kernel: 1))
    }
    downConvolutions = convolutions
    let deepest = channels[channels.count - 1]
    middleConvolution = try ConvolutionLayer(
      scope["controlnet_mid_block"], inputs: deepest, outputs: deepest, kernel: 1)
  }

  /// - Parameters:
  ///   - sample: `[batch, height, width, inputChannels]`
  ///   - timestep: `[batch]`
  ///   - context: `[batch, tokens, contextFeatures]`
  ///   - picture: from 0 to 1, of the picture's size, `[batch, height · magnification, width · magnification, 3]`
  /// - Returns: what to add to the UNet's skips, the finest first, and to its middle, last.
  package func callAsFunction(
    _ sample: Tensor, timestep: Tensor, context: Tensor, picture: Tensor, addition: UNet.Addition? = nil
  ) -> [Tensor] {
    let time = way.time(timestep, addition).silu()
    var passage = Passage()
    var skips: [Tensor] = []
    let h = way(
      way.convolutionIn(sample) + self.picture(picture), time: time, context: context, passage: &passage,
      skips: &skips)
    return zip(downConvolutions, skips).map { $0($1) } + [middleConvolution(h)]
  }
}

/// A picture brought to the size and channels of the latents' first features.
///
/// Known to diffusers as `ControlNetConditioningEmbedding`.
private struct ControlPictureEmbedding: Sendable {
  private let first, last: ConvolutionLayer
  private let inner: [ConvolutionLayer]

  init(_ scope: ParameterScope, channels: [Int], outputs: Int) throws(ParameterError) {
    first = try ConvolutionLayer(scope["conv_in"], inputs: 3, outputs: channels[0], kernel: 3)
    var inner: [ConvolutionLayer] = []
    for index in 0..<channels.count - 1 {
      let (width, next) = (channels[index], channels[index + 1])
      inner.append(
        try ConvolutionLayer(scope["blocks"][2 * index], inputs: width, outputs: width, kernel: 3))
      inner.append(
        try ConvolutionLayer(
          scope["blocks"][2 * index + 1], inputs: width, outputs: next, kernel: 3, stride: 2))
    }
    self.inner = inner
    last = try ConvolutionLayer(
      scope["conv_out"], inputs: channels[channels.count - 1], outputs: outputs, kernel: 3)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    var h = first(x).silu()
    for convolution in inner { h = convolution(h).silu() }
    return last(h)
  }
}
