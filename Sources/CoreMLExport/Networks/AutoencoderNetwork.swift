package import Layers
internal import MIL
package import StableDiffusion
internal import Tensors

extension TracedNetwork {
  /// A VAE's decoder with Apple's features: `z` (latents without the scaling factor) to `image`.
  ///
  /// - Parameters:
  ///   - height: latent pixels, as is `width`.
  ///   - precision: of the input, as of the program.
  package static func decoder(
    _ configuration: AutoencoderConfiguration, height: Int, width: Int,
    precision: ExportOptions.Precision, source: any ParameterSource = TraceParameters()
  ) throws -> TracedNetwork {
    try checkSize(height: height, width: width, halvings: 0)
    let channels = configuration.latentChannels
    let decoder = try AutoencoderDecoder(source, configuration)
    let image = Execution.tracing {
      decoder(.placeholder(named: "z", shape: [1, height, width, channels]))
    }
    return TracedNetwork(
      inputs: [
        Input(
          "z", precision == .half ? .float16 : .float32, [1, channels, height, width],
          description: FeatureText.latents)
      ], outputs: [Output("image", image, description: FeatureText.image)])
  }

  /// A VAE's encoder with Apple's features: `x` to `latent`, mean and log-variance side by side.
  ///
  /// - Parameter height: picture pixels, as is `width`.
  package static func encoder(
    _ configuration: AutoencoderConfiguration, height: Int, width: Int,
    precision: ExportOptions.Precision, source: any ParameterSource = TraceParameters()
  ) throws -> TracedNetwork {
    try checkSize(height: height, width: width, halvings: configuration.blockChannels.count - 1)
    let channels = configuration.imageChannels
    let encoder = try AutoencoderEncoder(source, configuration)
    let moments = Execution.tracing {
      encoder(.placeholder(named: "x", shape: [1, height, width, channels]))
    }
    return TracedNetwork(
      inputs: [
        Input(
          "x", precision == .half ? .float16 : .float32, [1, channels, height, width],
          description: FeatureText.picture)
      ], outputs: [Output("latent", moments, description: FeatureText.moments)])
  }
}
