package import MIL
package import StableDiffusion

/// Writes a UNet as a Core ML package with Apple's input and output names, shapes and types.
package struct UNetExporter: Sendable {
  package let configuration: UNetConfiguration
  package let options: ExportOptions
  /// Samples in a call.
  package let batch: Int
  /// Latent pixels.
  package let height: Int
  package let width: Int
  /// Tokens of a prompt.
  package let tokens: Int
  /// Numbers in SDXL's time ids: 6, or 5 of a refiner.
  package let timeIdentifiers: Int

  package init(
    _ configuration: UNetConfiguration, options: ExportOptions, batch: Int, height: Int,
    width: Int, tokens: Int, timeIdentifiers: Int = 6
  ) {
    self.timeIdentifiers = timeIdentifiers
    self.configuration = configuration
    self.options = options
    self.batch = batch
    self.height = height
    self.width = width
    self.tokens = tokens
  }

  /// - Parameter metadata: shown to whoever opens the package.
  package func write(
    _ weights: any ExportWeights, to path: String, metadata: Metadata
  ) throws {
    let network = try TracedNetwork.unet(
      configuration, batch: batch, height: height, width: width, tokens: tokens, timeIdentifiers: timeIdentifiers)
    try network.write(weights, options: options, to: path, metadata: metadata)
  }
}
