internal import Checkpoints
package import Foundation
package import Recipes
internal import StableDiffusion

/// What a package of a run's UNet must know: sizes, and what the network predicts.
package struct RunGeometry: Sendable, Codable, Equatable {
  /// Of the latents, in latent pixels.
  package let height: Int
  package let width: Int
  /// Of a prompt.
  package let tokens: Int
  /// `epsilon` or `v_prediction`, as diffusers has them.
  package let prediction: String

  package init(height: Int, width: Int, tokens: Int, prediction: String) {
    (self.height, self.width, self.tokens, self.prediction) = (height, width, tokens, prediction)
  }

  /// From configurations and the data's extents; nothing is loaded or encoded.
  ///
  /// - Parameter folder: what the recipe's paths are relative to.
  package init(_ recipe: Recipe, folder: URL) throws {
    let model = recipe.path(recipe.model, in: folder)
    prediction = try NoiseSchedule(folder: model + "/scheduler").prediction.rawValue
    let source = try DataSource(recipe.path(recipe.data, in: folder))
    if case .latents(let path) = source {
      (height, width, tokens) = try LatentDataset.geometry(path: path)
      return
    }
    tokens = try ModelText.tokenCount(model)
    let unet = try UNetConfiguration(folder: model + "/unet")
    switch source {
    case .cache(let path):
      let cache = try LatentCache(path)
      guard let sample = cache.samples.first(where: \.isValidation) ?? cache.samples.first else {
        throw CheckpointError.missing(file: path, item: "samples")
      }
      (height, width) = (cache.sizes[sample.size].shape[1], cache.sizes[sample.size].shape[2])
    case .pictures:
      let magnification = try AutoencoderConfiguration(folder: model + "/vae").magnification
      let settings = try PictureSettings(
        recipe.pictures, seed: recipe.seed, unet: unet, magnification: magnification)
      (height, width) = (settings.resolution / magnification, settings.resolution / magnification)
    case .prompts, .latents: (height, width) = (unet.sampleSize, unet.sampleSize)
    }
  }
}
