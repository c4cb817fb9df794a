internal import MIL
internal import StableDiffusion
internal import Tensors

/// What a UNet or ControlNet is told beside the sample: timestep, text and, of SDXL, sizes and pooled text.
struct NetworkConditions {
  let inputs: [TracedNetwork.Input]
  let timestep: Tensor
  let context: Tensor
  let addition: UNet.Addition?

  /// - Parameter timeIdentifiers: numbers about the picture that SDXL takes: 6, and 5 the refiner.
  init(
    _ configuration: UNetConfiguration, batch: Int, tokens: Int, timeIdentifiers: Int
  ) throws(ExportError) {
    let text = configuration.contextFeatures.first ?? 0
    timestep = .placeholder(named: "timestep", shape: [batch])
    context = .placeholder(named: "encoder_hidden_states", shape: [batch, tokens, text])
    var inputs = [
      TracedNetwork.Input("timestep", .float16, [batch], description: FeatureText.timestep),
      TracedNetwork.Input(
        "encoder_hidden_states", .float16, [batch, text, 1, tokens],
        description: FeatureText.hiddenStates(tokens: tokens)),
    ]
    guard let textTime = configuration.textTime else {
      (self.inputs, addition) = (inputs, nil)
      return
    }
    let pooled = textTime.projectionInputs - timeIdentifiers * textTime.timeFeatures
    guard pooled > 0 else {
      throw .pooledText(features: textTime.projectionInputs, timeIdentifiers: timeIdentifiers)
    }
    inputs += [
      TracedNetwork.Input(
        "time_ids", .float16, [batch, timeIdentifiers], becomesImage: true,
        description: FeatureText.timeIdentifiers),
      TracedNetwork.Input(
        "text_embeds", .float16, [batch, pooled], becomesImage: true,
        description: FeatureText.pooledText),
    ]
    self.inputs = inputs
    addition = UNet.Addition(
      textEmbeddings: .placeholder(named: "text_embeds", shape: [batch, pooled]),
      timeIdentifiers: .placeholder(named: "time_ids", shape: [batch, timeIdentifiers]))
  }
}
