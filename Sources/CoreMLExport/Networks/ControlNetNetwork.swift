internal import MIL
package import StableDiffusion
internal import Tensors

extension TracedNetwork {
  /// A ControlNet with Apple's features: a UNet's, and `controlnet_cond` (the picture, from 0 to 1), to
  /// `additional_residual_0` and so on.
  ///
  /// - Parameters:
  ///   - network: of weights without elements.
  ///   - batch: samples in a call.
  ///   - height: latent pixels, as is `width`.
  ///   - tokens: of a prompt.
  package static func controlNet(
    _ network: ControlNet, batch: Int, height: Int, width: Int, tokens: Int
  ) throws -> TracedNetwork {
    let configuration = network.configuration
    try checkSize(height: height, width: width, halvings: configuration.blockChannels.count - 1)
    let conditions = try NetworkConditions(
      configuration, batch: batch, tokens: tokens, timeIdentifiers: 6)
    let (channels, magnification) = (configuration.inputChannels, network.magnification)
    let (pictureHeight, pictureWidth) = (height * magnification, width * magnification)
    let residuals = Execution.tracing {
      network(
        .placeholder(named: "sample", shape: [batch, height, width, channels]),
        timestep: conditions.timestep, context: conditions.context,
        picture: .placeholder(
          named: "controlnet_cond", shape: [batch, pictureHeight, pictureWidth, 3]),
        addition: conditions.addition)
    }
    let sample = Input(
      "sample", .float16, [batch, channels, height, width], description: FeatureText.sample)
    let picture = Input(
      "controlnet_cond", .float16, [batch, 3, pictureHeight, pictureWidth],
      description: FeatureText.controlPicture)
    return TracedNetwork(
      inputs: [sample] + conditions.inputs + [picture],
      outputs: residuals.enumerated().map { index, residual in
        Output("additional_residual_\(index)", residual, description: FeatureText.controlResidual)
      })
  }
}
