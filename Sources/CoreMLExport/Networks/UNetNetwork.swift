package import Layers
internal import MIL
package import StableDiffusion
internal import Tensors

extension TracedNetwork {
  /// A UNet with Apple's features: `sample`, `timestep`, `encoder_hidden_states` (and SDXL's `time_ids`, `text_embeds`)
  /// to `noise_pred`.
  ///
  /// - Parameters:
  ///   - batch: samples in a call.
  ///   - height: latent pixels, as is `width`.
  ///   - tokens: of a prompt.
  ///   - controlled: whether it takes what ControlNets add, `additional_residual_0` and so on.
  ///   - timeIdentifiers: numbers about the picture that SDXL takes: 6, and 5 the refiner.
  package static func unet(
    _ configuration: UNetConfiguration, batch: Int, height: Int, width: Int, tokens: Int,
    timeIdentifiers: Int = 6, controlled: Bool = false,
    source: any ParameterSource = TraceParameters()
  ) throws -> TracedNetwork {
    try checkSize(height: height, width: width, halvings: configuration.blockChannels.count - 1)
    let text = configuration.contextFeatures.first ?? 0
    var inputs = [
      Input(
        "sample", .float16, [batch, configuration.inputChannels, height, width],
        description: FeatureText.sample),
      Input("timestep", .float16, [batch], description: FeatureText.timestep),
      Input(
        "encoder_hidden_states", .float16, [batch, text, 1, tokens],
        description: FeatureText.hiddenStates(tokens: tokens)),
    ]
    var addition: UNet.Addition?
    if let textTime = configuration.textTime {
      let pooled = textTime.projectionInputs - timeIdentifiers * textTime.timeFeatures
      guard pooled > 0 else {
        throw ExportError.size(height: height, width: width, multiple: 1)
      }
      inputs += [
        Input(
          "time_ids", .float16, [batch, timeIdentifiers], becomesImage: true,
          description: FeatureText.timeIdentifiers),
        Input(
          "text_embeds", .float16, [batch, pooled], becomesImage: true,
          description: FeatureText.pooledText),
      ]
      addition = UNet.Addition(
        textEmbeddings: .placeholder(named: "text_embeds", shape: [batch, pooled]),
        timeIdentifiers: .placeholder(named: "time_ids", shape: [batch, timeIdentifiers]))
    }
    var residuals: [Tensor] = []
    if controlled {
      for (index, shape) in configuration.skipShapes(batch: batch, height: height, width: width).enumerated() {
        let name = "additional_residual_\(index)"
        residuals.append(.placeholder(named: name, shape: shape))
        inputs.append(
          Input(
            name, .float16, [shape[0], shape[3], shape[1], shape[2]],
            description: FeatureText.residual))
      }
    }
    let unet = try UNet(source, configuration)
    let prediction = Execution.tracing {
      unet(
        .placeholder(named: "sample", shape: [batch, height, width, configuration.inputChannels]),
        timestep: .placeholder(named: "timestep", shape: [batch]),
        context: .placeholder(named: "encoder_hidden_states", shape: [batch, tokens, text]),
        addition: addition, residuals: residuals)
    }
    return TracedNetwork(
      inputs: inputs,
      outputs: [Output("noise_pred", prediction, description: FeatureText.prediction)])
  }

  /// - Throws: when an image cannot be halved so often.
  static func checkSize(height: Int, width: Int, halvings: Int) throws(ExportError) {
    let multiple = 1 << halvings
    guard height % multiple == 0, width % multiple == 0, height > 0, width > 0 else {
      throw .size(height: height, width: width, multiple: multiple)
    }
  }
}

extension UNetConfiguration {
  /// Shapes of what goes down and is kept for the way up, the finest first, and of the middle, last:
  /// `[batch, height, width, channels]` each.
  func skipShapes(batch: Int, height: Int, width: Int) -> [Shape] {
    var (height, width) = (height, width)
    var shapes: [Shape] = [[batch, height, width, blockChannels[0]]]
    for (level, channels) in blockChannels.enumerated() {
      shapes += (0..<layersPerBlock[level]).map { _ -> Shape in [batch, height, width, channels] }
      if level < blockChannels.count - 1 {
        (height, width) = (height / 2, width / 2)
        shapes.append([batch, height, width, channels])
      }
    }
    return shapes + [[batch, height, width, blockChannels[blockChannels.count - 1]]]
  }
}
