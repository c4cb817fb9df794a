internal import Layers
internal import Tensors

/// A UNet's way down and its middle, which a ControlNet copies.
struct UNetDescent: Sendable {
  let convolutionIn: ConvolutionLayer
  private let configuration: UNetConfiguration
  private let timeEmbedding: TwoLayers
  /// SDXL's embedding of pooled text and picture size.
  private let additionEmbedding: TwoLayers?
  private let blocks: [DownBlock]
  private let middle: MiddleBlock

  init(_ scope: ParameterScope, in configuration: UNetConfiguration) throws(ParameterError) {
    let channels = configuration.blockChannels
    self.configuration = configuration
    convolutionIn = try ConvolutionLayer(
      scope["conv_in"], inputs: configuration.inputChannels, outputs: channels[0], kernel: 3)
    timeEmbedding = try TwoLayers(
      scope["time_embedding"], inputs: channels[0], outputs: configuration.timeFeatures)
    if let addition = configuration.textTime {
      additionEmbedding = try TwoLayers(
        scope["add_embedding"], inputs: addition.projectionInputs,
        outputs: configuration.timeFeatures)
    } else {
      additionEmbedding = nil
    }
    var blocks: [DownBlock] = []
    for level in channels.indices {
      blocks.append(
        try DownBlock(
          scope["down_blocks"][level], level: level, inputs: channels[max(0, level - 1)],
          in: configuration))
    }
    self.blocks = blocks
    middle = try MiddleBlock(scope["mid_block"], in: configuration)
  }

  /// - Parameters:
  ///   - x: the first convolution's features
  ///   - passage: of what is computed, `x` first and the middle last
  ///   - skips: gets every image that is handed on before the middle
  /// - Returns: the middle's features.
  func callAsFunction(
    _ x: Tensor, time: Tensor, context: Tensor, passage: inout Passage, skips: inout [Tensor]
  ) -> Tensor {
    var h = passage(x)
    skips.append(h)
    for block in blocks { h = block(h, time: time, context: context, passage: &passage, skips: &skips) }
    return passage(middle(h, time: time, context: context))
  }

  /// The timestep's embedding, `[batch, timeFeatures]`, before its activation.
  func time(_ timestep: Tensor, _ addition: UNet.Addition?) -> Tensor {
    let embedding = timeEmbedding(features(timestep, configuration.blockChannels[0]))
    guard let additionEmbedding, let addition, let textTime = configuration.textTime else {
      return embedding
    }
    let ids = addition.timeIdentifiers
    let sizes = features(ids.reshaped([ids.shape.count]), textTime.timeFeatures)
      .reshaped([ids.shape[0], ids.shape[1] * textTime.timeFeatures])
    return embedding + additionEmbedding(Concatenate()(addition.textEmbeddings, sizes))
  }

  private func features(_ numbers: Tensor, _ count: Int) -> Tensor {
    TimestepEmbedding(
      features: count, flipped: configuration.flipsSinToCos,
      frequencyShift: configuration.frequencyShift)(numbers)
  }
}

/// `linear_2(silu(linear_1(x)))`; known to diffusers as `TimestepEmbedding`.
private struct TwoLayers: Sendable {
  let first, second: LinearLayer

  init(_ scope: ParameterScope, inputs: Int, outputs: Int) throws(ParameterError) {
    first = try LinearLayer(scope["linear_1"], inputs: inputs, outputs: outputs)
    second = try LinearLayer(scope["linear_2"], inputs: outputs, outputs: outputs)
  }

  func callAsFunction(_ x: Tensor) -> Tensor { second(first(x).silu()) }
}
