internal import Layers
internal import Tensors

/// One level on the way down: residual blocks, transformers where the level has attention, then halving.
///
/// Known to diffusers as `DownBlock2D` and `CrossAttnDownBlock2D`.
struct DownBlock: Sendable {
  private let layers: [UNetLayer]
  private let downsampler: ConvolutionLayer?

  init(
    _ scope: ParameterScope, level: Int, inputs: Int, in unet: UNetConfiguration
  ) throws(ParameterError) {
    let outputs = unet.blockChannels[level]
    var layers: [UNetLayer] = []
    for index in 0..<unet.layersPerBlock[level] {
      layers.append(
        try UNetLayer(
          scope, index: index, inputs: index == 0 ? inputs : outputs, outputs: outputs,
          attention: unet.downBlocks[level].hasAttention
            ? .init(level: level, layers: unet.downTransformerLayers[level][index]) : nil, in: unet))
    }
    self.layers = layers
    downsampler =
      level == unet.blockChannels.count - 1
      ? nil
      : try ConvolutionLayer(
        scope["downsamplers.0.conv"], inputs: outputs, outputs: outputs, kernel: 3, stride: 2)
  }

  /// Appends every intermediate image to `skips`, for the way up.
  func callAsFunction(
    _ x: Tensor, time: Tensor, context: Tensor, passage: inout Passage, skips: inout [Tensor]
  ) -> Tensor {
    var h = x
    for layer in layers {
      h = passage(layer(h, time: time, context: context))
      skips.append(h)
    }
    if let downsampler {
      h = passage(downsampler(h))
      skips.append(h)
    }
    return h
  }
}

/// One level on the way up: each residual block also sees an image from the way down; then doubling.
///
/// Known to diffusers as `UpBlock2D` and `CrossAttnUpBlock2D`.
struct UpBlock: Sendable {
  private let layers: [UNetLayer]
  private let upsampler: ConvolutionLayer?

  /// - Parameters:
  ///   - level: of the channels, 0 the finest.
  ///   - inputs: channels from the level below.
  init(
    _ scope: ParameterScope, level: Int, inputs: Int, in unet: UNetConfiguration
  ) throws(ParameterError) {
    let outputs = unet.blockChannels[level]
    let count = unet.layersPerBlock[level] + 1
    let index = unet.blockChannels.count - 1 - level
    var layers: [UNetLayer] = []
    for layer in 0..<count {
      let skip = layer == count - 1 ? unet.blockChannels[max(0, level - 1)] : outputs
      layers.append(
        try UNetLayer(
          scope, index: layer, inputs: (layer == 0 ? inputs : outputs) + skip, outputs: outputs,
          attention: unet.upBlocks[index].hasAttention
            ? .init(level: level, layers: unet.upTransformerLayers[level][layer]) : nil, in: unet))
    }
    self.layers = layers
    upsampler =
      level == 0
      ? nil
      : try ConvolutionLayer(
        scope["upsamplers.0.conv"], inputs: outputs, outputs: outputs, kernel: 3)
  }

  /// Takes its images from the end of `skips`; doubles to the size of the next one there.
  func callAsFunction(_ x: Tensor, time: Tensor, context: Tensor, skips: inout [Tensor]) -> Tensor {
    var h = x
    for layer in layers {
      h = layer(Concatenate()(h, skips.removeLast()), time: time, context: context)
    }
    guard let upsampler else { return h }
    let size = skips[skips.count - 1].shape
    return upsampler(h.upsampled(height: size[1], width: size[2]))
  }
}

/// Residual block, transformer, residual block at the coarsest level; one residual block alone, or nothing.
///
/// Known to diffusers as `UNetMidBlock2DCrossAttn` and `UNetMidBlock2D`.
struct MiddleBlock: Sendable {
  private let first: UNetLayer?
  private let second: ResidualBlock?

  init(_ scope: ParameterScope, in unet: UNetConfiguration) throws(ParameterError) {
    let level = unet.blockChannels.count - 1
    let channels = unet.blockChannels[level]
    guard unet.middle != .none else {
      (first, second) = (nil, nil)
      return
    }
    var attention: SpatialTransformer.Form?
    if case .attention(let layers) = unet.middle {
      attention = .init(level: level, layers: layers, isMiddle: true)
    }
    first = try UNetLayer(
      scope, index: 0, inputs: channels, outputs: channels, attention: attention, in: unet)
    second =
      attention == nil
      ? nil
      : try ResidualBlock(
        scope["resnets.1"], inputs: channels, outputs: channels, timeFeatures: unet.timeFeatures,
        groups: unet.groups, epsilon: unet.normEpsilon)
  }

  func callAsFunction(_ x: Tensor, time: Tensor, context: Tensor) -> Tensor {
    guard let first else { return x }
    let h = first(x, time: time, context: context)
    guard let second else { return h }
    return recomputed { second(h, time: time) }
  }
}

/// A residual block, recomputed in the backward pass, and the transformer behind it.
struct UNetLayer: Sendable {
  private let residual: ResidualBlock
  private let transformer: SpatialTransformer?

  /// - Parameter attention: of its transformer; nil for none.
  init(
    _ scope: ParameterScope, index: Int, inputs: Int, outputs: Int, attention: SpatialTransformer.Form?,
    in unet: UNetConfiguration
  ) throws(ParameterError) {
    residual = try ResidualBlock(
      scope["resnets"][index], inputs: inputs, outputs: outputs, timeFeatures: unet.timeFeatures,
      groups: unet.groups, epsilon: unet.normEpsilon)
    if let attention {
      transformer = try SpatialTransformer(
        scope["attentions"][index], channels: outputs, attention, in: unet)
    } else {
      transformer = nil
    }
  }

  func callAsFunction(_ x: Tensor, time: Tensor, context: Tensor) -> Tensor {
    let h = recomputed { residual(x, time: time) }
    return transformer?(h, context: context) ?? h
  }
}
