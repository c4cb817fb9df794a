internal import Checkpoints
package import Foundation
internal import Kernels
package import Layers
package import Recipes
package import StableDiffusion
internal import Tensors

/// A recipe's model and data, loaded and checked against each other.
package struct RunInputs: Sendable {
  /// The full-precision model.
  package let unet: UNet
  package let weights: ParameterStore
  package let schedule: NoiseSchedule
  package let training: LatentDataset
  package let trainingStates: TextStates
  package let validation: LatentDataset
  package let validationStates: TextStates

  /// - Parameter folder: what the recipe's paths are relative to.
  package init(_ recipe: Recipe, folder: URL) throws {
    let model = recipe.path(recipe.model, in: folder)
    let data = recipe.path(recipe.data, in: folder)
    (unet, weights) = try DiffusersFolder.unet(model + "/unet")
    schedule = try NoiseSchedule(folder: model + "/scheduler")
    let encoders = try Self.textEncoders(of: model)
    let pictures = try LatentDataset(path: data, split: .train)
    validation = try LatentDataset(
      path: data, split: .validation, limit: recipe.evaluation.pictures)
    guard pictures.latents.shape.axes.dropFirst() == validation.latents.shape.axes.dropFirst() else {
      throw TrainingError.mismatch(
        what: "\(data): validation latents", expected: "\(pictures.latents.shape.axes.dropFirst()), as training's",
        found: "\(validation.latents.shape.axes.dropFirst())")
    }
    for dataset in [pictures, validation] {
      try dataset.check(unet.configuration, encoders.map(\.configuration), file: data)
    }
    trainingStates = TextStates(encoders, pictures, for: unet.configuration)
    switch recipe.training.latents {
    case .data: training = pictures
    case .teacher:
      let made = TeacherLatents(
        teacher: unet,
        sampler: try SamplerConfiguration(folder: model + "/scheduler", method: .ddim)
          .sampler(steps: recipe.training.teacherSteps), states: trainingStates, seed: recipe.seed)
      training = LatentDataset(
        pictures,
        latents: made(
          count: min(pictures.count, recipe.training.teacherPictures), shape: pictures.latents.shape))
    }
    validationStates = TextStates(encoders, validation, for: unet.configuration)
  }

  /// One, or SDXL's two.
  private static func textEncoders(of model: String) throws -> [TextEncoder] {
    let second = model + "/text_encoder_2"
    let first = try DiffusersFolder.textEncoder(model + "/text_encoder").model
    guard FileManager.default.fileExists(atPath: second) else { return [first] }
    return [first, try DiffusersFolder.textEncoder(second).model]
  }
}
