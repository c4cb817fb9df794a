package import Foundation
internal import Layers
package import Models
package import Recipes
package import StableDiffusion

/// The networks of a recipe that is trained from scratch, and its data.
package struct PretrainingInputs: Sendable {
  package let model: ModelSource
  package let unet: UNetConfiguration
  package let textEncoder: TextEncoderConfiguration
  package let schedule: NoiseSchedule
  package let training: LatentDataset
  package let validation: LatentDataset

  /// - Parameter folder: what the recipe's paths are relative to.
  package init(_ recipe: PretrainingRecipe, folder: URL) throws {
    model = try ModelSource(recipe.path(recipe.model, in: folder))
    let data = recipe.path(recipe.data, in: folder)
    unet = try model.unetConfiguration()
    textEncoder = try TextEncoderConfiguration(model.configuration(of: .textEncoder))
    schedule = try model.schedule()
    try recipe.evaluation.check(schedule)
    switch try DataSource(data) {
    case .latents(let path):
      training = try LatentDataset(path: path, split: .train)
      validation = try LatentDataset(path: path, split: .validation, limit: recipe.evaluation.pictures)
    case .cache(let path):
      let (cache, tokenizers) = (try LatentCache(path), try ModelText.tokenizers(model))
      training = try LatentDataset(cache, .train, PictureRecipe(), tokenizers)
      validation = try LatentDataset(cache, .validation, PictureRecipe(), tokenizers)
    case .pictures, .prompts:
      throw TrainingError.mismatch(
        what: data, expected: "latents: sdtune prepare makes them of pictures", found: "pictures or prompts")
    }
    for dataset in [training, validation] { try dataset.check(unet, [textEncoder], file: data) }
  }

  /// The networks before they have learned anything.
  func initialNetworks(seed: UInt64) throws -> [ParameterStore] {
    [
      try ParameterStore(initialFor: "unet", seed: seed, stream: 2) { _ = try UNet($0, unet) },
      try ParameterStore(initialFor: "text_encoder", seed: seed, stream: 3) {
        _ = try TextEncoder($0, textEncoder)
      },
    ]
  }
}
