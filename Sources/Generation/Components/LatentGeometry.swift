internal import MILRuntime
internal import Models
internal import StableDiffusion

/// How latents and pictures of a model relate.
package struct LatentGeometry: Sendable {
  /// Latents are multiplied by it on their way to the UNet.
  package let scalingFactor: Double
  /// Pixels of a latent pixel's side.
  package let magnification: Int

  /// Reads configurations and package headers, no weights.
  package init(_ models: ModelSet) throws {
    let own = try models.source.flatMap { $0.has(.vae) ? try $0.configuration(of: .vae) : nil }
    switch models.decoder {
    case .component(let component):
      let configuration = try AutoencoderConfiguration(component.configuration)
      guard configuration.latentChannels == 4, configuration.imageChannels == 3 else {
        throw GenerationError.mismatch(
          what: component.origin, expected: "latents of 4 channels and pictures of 3",
          found: "\(configuration.latentChannels) and \(configuration.imageChannels)")
      }
      scalingFactor = Double(configuration.scalingFactor)
      magnification = configuration.magnification
    case .package(let path):
      let model = try PackageModel(path: path)
      let shape = try model.shape(of: model.latentInput, rank: 4)
      let noted = model.note("sdtune.scaling_factor").flatMap(Double.init)
      let usual = models.poolsText ? 0.13025 : 0.18215
      scalingFactor = try own.map { Double(try AutoencoderConfiguration($0).scalingFactor) } ?? noted ?? usual
      guard scalingFactor.isFinite, scalingFactor > 0 else {
        throw GenerationError.package(path: path, expected: "a scaling factor above 0", found: "\(scalingFactor)")
      }
      guard shape[1] == 4, shape[2] > 0, shape[3] > 0 else {
        throw GenerationError.package(
          path: path, expected: "z [1, 4, height, width]", found: "\(shape)")
      }
      guard let output = model.outputs.first?.shape, output.count == 4 else {
        throw GenerationError.package(path: path, expected: "an output 'image'", found: "none of 4 axes")
      }
      // Published packages often leave the output's shape open; Stable Diffusion's VAE magnifies by 8.
      magnification = max(1, output[2].map { $0 / shape[2] } ?? 8)
    }
  }
}
