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
    try checkSize(configuration, height: height, width: width)
    let conditions = try NetworkConditions(
      configuration, batch: batch, tokens: tokens, timeIdentifiers: timeIdentifiers)
    let sample = Input(
      "sample", .float16, [batch, configuration.inputChannels, height, width],
      description: FeatureText.sample)
    var inputs = [sample] + conditions.inputs
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
        timestep: conditions.timestep, context: conditions.context, addition: conditions.addition,
        residuals: residuals)
    }
    return TracedNetwork(
      inputs: inputs,
      outputs: [Output("noise_pred", prediction, description: FeatureText.prediction)])
  }

  /// - Throws: ``ExportError/size`` for latents that a UNet's package cannot take.
  package static func checkSize(_ configuration: UNetConfiguration, height: Int, width: Int) throws {
    try checkSize(height: height, width: width, halvings: configuration.blockChannels.count - 1)
  }

  /// - Throws: when an image cannot be halved so often.
  static func checkSize(height: Int, width: Int, halvings: Int) throws(ExportError) {
    let multiple = 1 << halvings
    guard height % multiple == 0, width % multiple == 0, height > 0, width > 0 else {
      throw .size(height: height, width: width, multiple: multiple)
    }
  }
}
