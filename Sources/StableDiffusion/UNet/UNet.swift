package import Layers
package import Tensors

/// The denoising network of Stable Diffusion 1.x, 2.x and XL.
///
/// Known to diffusers as `UNet2DConditionModel`. This is its only definition: training runs it, export and the dry run
/// read its trace.
package struct UNet: Sendable {
  package let configuration: UNetConfiguration
  private let convolutionIn, convolutionOut: ConvolutionLayer
  private let timeEmbedding: TwoLayers
  /// SDXL's embedding of pooled text and picture size.
  private let additionEmbedding: TwoLayers?
  private let downBlocks: [DownBlock]
  private let middle: MiddleBlock
  private let upBlocks: [UpBlock]
  private let normOut: GroupNormLayer

  package init(
    _ source: any ParameterSource, _ configuration: UNetConfiguration
  ) throws(ParameterError) {
    let scope = ParameterScope(source)
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
    var down: [DownBlock] = []
    for level in channels.indices {
      down.append(
        try DownBlock(
          scope["down_blocks"][level], level: level, inputs: channels[max(0, level - 1)],
          in: configuration))
    }
    downBlocks = down
    middle = try MiddleBlock(scope["mid_block"], in: configuration)
    var up: [UpBlock] = []
    for index in channels.indices {
      let level = channels.count - 1 - index
      up.append(
        try UpBlock(
          scope["up_blocks"][index], level: level,
          inputs: channels[min(channels.count - 1, level + 1)], in: configuration))
    }
    upBlocks = up
    normOut = try GroupNormLayer(
      scope["conv_norm_out"], channels: channels[0], groups: configuration.groups,
      epsilon: configuration.normEpsilon, silu: true)
    convolutionOut = try ConvolutionLayer(
      scope["conv_out"], inputs: channels[0], outputs: configuration.outputChannels, kernel: 3)
  }

  /// SDXL's additional conditions.
  package struct Addition: Sendable {
    /// Pooled text, `[batch, features]`.
    let textEmbeddings: Tensor
    /// Picture size, crop and target size in pixels, `[batch, 6]`.
    let timeIdentifiers: Tensor

    package init(textEmbeddings: Tensor, timeIdentifiers: Tensor) {
      self.textEmbeddings = textEmbeddings
      self.timeIdentifiers = timeIdentifiers
    }
  }

  /// What the network computes.
  package struct Outputs: Sendable {
    /// The predicted noise (or velocity), `[batch, height, width, outputChannels]`.
    package let prediction: Tensor
    /// What each block hands on: down, middle, up.
    package let blocks: [Tensor]
  }

  /// - Parameters:
  ///   - sample: noisy latents, `[batch, height, width, inputChannels]`
  ///   - timestep: `[batch]`
  ///   - context: text states, `[batch, tokens, contextFeatures]`
  /// - Returns: the predicted noise (or velocity), `[batch, height, width, outputChannels]`
  package func callAsFunction(
    _ sample: Tensor, timestep: Tensor, context: Tensor, addition: Addition? = nil
  ) -> Tensor {
    outputs(sample, timestep: timestep, context: context, addition: addition).prediction
  }

  /// As calling the network, with what is on the way.
  package func outputs(
    _ sample: Tensor, timestep: Tensor, context: Tensor, addition: Addition? = nil
  ) -> Outputs {
    let time = self.time(timestep, addition).silu()
    var h = convolutionIn(sample)
    var skips = [h]
    var blocks: [Tensor] = []
    for block in downBlocks {
      h = block(h, time: time, context: context, skips: &skips)
      blocks.append(h)
    }
    h = middle(h, time: time, context: context)
    blocks.append(h)
    for block in upBlocks {
      h = block(h, time: time, context: context, skips: &skips)
      blocks.append(h)
    }
    return Outputs(prediction: convolutionOut(normOut(h)), blocks: blocks)
  }

  /// The timestep's embedding, `[batch, timeFeatures]`, before its activation.
  private func time(_ timestep: Tensor, _ addition: Addition?) -> Tensor {
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
