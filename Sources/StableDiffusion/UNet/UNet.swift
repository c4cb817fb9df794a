package import Layers
package import Tensors

/// The denoising network of Stable Diffusion 1.x, 2.x and XL.
///
/// Known to diffusers as `UNet2DConditionModel`. This is its only definition: training runs it, export and the dry run
/// read its trace.
package struct UNet: Sendable {
  package let configuration: UNetConfiguration
  private let descent: UNetDescent
  private let upBlocks: [UpBlock]
  private let normOut: GroupNormLayer
  private let convolutionOut: ConvolutionLayer

  package init(
    _ source: any ParameterSource, _ configuration: UNetConfiguration
  ) throws(ParameterError) {
    let scope = ParameterScope(source)
    let channels = configuration.blockChannels
    self.configuration = configuration
    descent = try UNetDescent(scope, in: configuration)
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
    /// What goes down and is kept for the way up, then what the middle and each block on the way up hand on.
    package let blocks: [Tensor]
  }

  /// - Parameters:
  ///   - sample: noisy latents, `[batch, height, width, inputChannels]`
  ///   - timestep: `[batch]`
  ///   - context: text states, `[batch, tokens, contextFeatures]`
  ///   - residuals: what ControlNets add to the skips, the finest first, and to the middle, last; none if empty
  /// - Returns: the predicted noise (or velocity), `[batch, height, width, outputChannels]`
  package func callAsFunction(
    _ sample: Tensor, timestep: Tensor, context: Tensor, addition: Addition? = nil,
    residuals: [Tensor] = []
  ) -> Tensor {
    outputs(sample, timestep: timestep, context: context, addition: addition, residuals: residuals).prediction
  }

  /// As calling the network, with what is on the way.
  ///
  /// - Parameter teacher: blocks of another network of this shape; every block then gets what that network's blocks
  ///   hand on, instead of what the blocks before it made.
  package func outputs(
    _ sample: Tensor, timestep: Tensor, context: Tensor, addition: Addition? = nil,
    residuals: [Tensor] = [], following teacher: [Tensor]? = nil
  ) -> Outputs {
    let time = descent.time(timestep, addition).silu()
    var passage = Passage(following: teacher)
    var skips: [Tensor] = []
    var h = descent(
      descent.convolutionIn(sample), time: time, context: context, passage: &passage, skips: &skips)
    if let last = residuals.last {
      precondition(residuals.count == skips.count + 1, "UNet: \(residuals.count) residuals")
      for index in skips.indices { skips[index] = skips[index] + residuals[index] }
      h = h + last
    }
    for block in upBlocks {
      h = passage(block(h, time: time, context: context, skips: &skips))
    }
    return Outputs(prediction: convolutionOut(normOut(h)), blocks: passage.images)
  }
}
