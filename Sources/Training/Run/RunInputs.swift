package import Foundation
package import Layers
package import Models
package import Recipes
package import StableDiffusion

/// The full-precision model that is tuned.
package struct TuningModel: Sendable {
  package let source: ModelSource
  package let unet: UNet
  package let weights: ParameterStore
  package let schedule: NoiseSchedule

  package init(_ source: ModelSource) throws {
    self.source = source
    schedule = try source.schedule()
    (unet, weights) = try source.component(.unet).unet()
  }
}

/// A recipe's model and data, checked against each other.
package struct RunInputs: Sendable {
  package let model: TuningModel
  package let training: LatentDataset
  package let trainingStates: TextStates
  package let validation: LatentDataset
  package let validationStates: TextStates
  /// Pictures that keep the model what it was, and their texts; nil if there are none.
  package let prior: (data: LatentDataset, states: TextStates)?
  /// What training draws from.
  package let batches: BatchSource

  package var unet: UNet { model.unet }
  package var weights: ParameterStore { model.weights }
  package var schedule: NoiseSchedule { model.schedule }

  package var geometry: RunGeometry {
    RunGeometry(
      height: validation.shapes[0][1], width: validation.shapes[0][2], tokens: training.captions.tokenCount,
      prediction: schedule.prediction.rawValue)
  }

  package init(_ recipe: Recipe, _ model: TuningModel, _ data: RunData) throws {
    try recipe.evaluation.check(model.schedule)
    self.model = model
    let encoders = try data.encoders ?? ModelText.encoders(model.source)
    let unet = model.unet.configuration
    for dataset in [data.training, data.validation, data.prior].compactMap({ $0 }) {
      try dataset.check(unet, encoders.map(\.configuration), file: dataset.name)
    }
    guard data.validation.shapes.count == 1 else {
      throw TrainingError.mismatch(
        what: "\(data.validation.name): validation latents", expected: "one size", found: "\(data.validation.shapes)")
    }
    training = data.training
    validation = data.validation
    trainingStates = TextStates(encoders, training.captions, for: unet)
    validationStates =
      data.sharesCaptions ? trainingStates : TextStates(encoders, validation.captions, for: unet)
    prior = data.prior.map { ($0, TextStates(encoders, $0.captions, for: unet)) }
    batches = BatchSource(recipe, training, model.schedule)
  }

  /// A recipe's model, and data that needs no preparation.
  ///
  /// - Parameter folder: what the recipe's paths are relative to.
  package init(_ recipe: Recipe, folder: URL) throws {
    let model = try TuningModel(recipe.modelSource(folder))
    try self.init(recipe, model, RunData(prepared: recipe, model: model, folder: folder))
  }
}
