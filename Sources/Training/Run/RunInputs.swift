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
    let (encoder, _) = try DiffusersFolder.textEncoder(model + "/text_encoder")
    training = try LatentDataset(path: data, split: .train)
    validation = try LatentDataset(
      path: data, split: .validation, limit: recipe.evaluation.pictures)
    for dataset in [training, validation] {
      try Self.check(dataset, unet.configuration, encoder.configuration, data)
    }
    trainingStates = TextStates(encoder, training)
    validationStates = TextStates(encoder, validation)
  }

  private static func check(
    _ dataset: LatentDataset, _ unet: UNetConfiguration, _ text: TextEncoderConfiguration,
    _ file: String
  ) throws(TrainingError) {
    guard dataset.latents.shape[1] == unet.inputChannels else {
      throw .mismatch(
        what: "\(file): channels of the latents", expected: "\(unet.inputChannels), the UNet's",
        found: "\(dataset.latents.shape[1])")
    }
    guard dataset.emptyCaption.count <= text.positions else {
      throw .mismatch(
        what: "\(file): tokens of a caption", expected: "at most \(text.positions)",
        found: "\(dataset.emptyCaption.count)")
    }
    let largest = (dataset.captions + [dataset.emptyCaption]).joined().max() ?? 0
    let least = (dataset.captions + [dataset.emptyCaption]).joined().min() ?? 0
    guard least >= 0, largest < text.vocabulary else {
      throw .mismatch(
        what: "\(file): token numbers", expected: "0 to \(text.vocabulary - 1)",
        found: "\(least) to \(largest)")
    }
    guard unet.contextFeatures.allSatisfy({ $0 == text.features }) else {
      throw .mismatch(
        what: "cross_attention_dim of the UNet", expected: "\(text.features), the text encoder's",
        found: "\(unet.contextFeatures)")
    }
  }
}

extension Recipe {
  /// A path of the recipe, which is relative to the recipe's folder.
  package func path(_ path: String, in folder: URL) -> String {
    URL(filePath: path, relativeTo: folder).standardizedFileURL.path
  }
}
