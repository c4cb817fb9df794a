internal import Checkpoints
internal import Files
package import Foundation
internal import Models
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
    let model = try recipe.modelSource(folder)
    prediction = try model.schedule().prediction.rawValue
    let source = try DataSource(recipe.path(recipe.data, in: folder))
    if case .latents(let path) = source {
      (height, width, tokens) = try LatentDataset.geometry(path: path)
      return
    }
    tokens = try ModelText.tokenizers(model).first?.length ?? 0
    let unet = try model.unetConfiguration()
    switch source {
    case .cache(let path):
      let cache = try LatentCache(path)
      guard let sample = cache.samples.first(where: \.isValidation) ?? cache.samples.first else {
        throw FileError.missing(file: path, item: "samples")
      }
      (height, width) = (cache.sizes[sample.size].shape[1], cache.sizes[sample.size].shape[2])
    case .pictures:
      let magnification = try AutoencoderConfiguration(model.configuration(of: .vae)).magnification
      let settings = try PictureSettings(
        recipe.pictures, seed: recipe.seed, unet: unet, magnification: magnification)
      (height, width) = (settings.resolution / magnification, settings.resolution / magnification)
    case .prompts, .latents: (height, width) = (unet.sampleHeight, unet.sampleWidth)
    }
  }
}
