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
  package private(set) var training: LatentDataset
  package let trainingStates: TextStates
  package let validation: LatentDataset
  package let validationStates: TextStates

  /// - Parameter folder: what the recipe's paths are relative to.
  package init(_ recipe: Recipe, folder: URL) throws {
    let model = recipe.path(recipe.model, in: folder)
    let data = recipe.path(recipe.data, in: folder)
    (unet, weights) = try DiffusersFolder.unet(model + "/unet")
    schedule = try NoiseSchedule(folder: model + "/scheduler")
    try recipe.evaluation.check(schedule)
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
    training = pictures
    trainingStates = TextStates(encoders, pictures, for: unet.configuration)
    validationStates = TextStates(encoders, validation, for: unet.configuration)
  }

  /// Puts latents that the full-precision model makes of the prompts in the place of the training pictures.
  ///
  /// - Parameters:
  ///   - kept: the folder that keeps them for the next time; nil to keep nothing.
  ///   - progress: pictures made, of how many, and the seconds left.
  package mutating func makeLatents(
    _ recipe: Recipe, folder: URL, kept: String?, isInterrupted: () -> Bool, progress: (Int, Int, Double) -> Void
  ) throws {
    let model = recipe.path(recipe.model, in: folder)
    let steps = recipe.training.teacherSteps
    let teacher = TeacherLatents(
      teacher: unet,
      sampler: try SamplerConfiguration(folder: model + "/scheduler", method: .ddim).sampler(steps: steps),
      states: trainingStates, seed: recipe.seed)
    var prompts = CRC32()
    for caption in training.captions { caption.withUnsafeBytes { prompts.update($0.bytes) } }
    let settings = "seed \(recipe.seed), \(steps) steps, prompts \(prompts.value)"
    let store = try kept.map { try KeptLatents($0, model: model + "/unet", settings: settings) }
    let count = min(training.count, recipe.training.teacherPictures)
    let started = ContinuousClock.now
    let latents = try teacher(
      count: count, shape: training.latents.shape, kept: store, isInterrupted: isInterrupted
    ) { done in
      let seconds = (ContinuousClock.now - started) / .seconds(1)
      progress(done, count, seconds / Double(done) * Double(count - done))
    }
    training = LatentDataset(training, latents: latents)
  }

  /// One, or SDXL's two.
  private static func textEncoders(of model: String) throws -> [TextEncoder] {
    let second = model + "/text_encoder_2"
    let first = try DiffusersFolder.textEncoder(model + "/text_encoder").model
    guard FileManager.default.fileExists(atPath: second) else { return [first] }
    return [first, try DiffusersFolder.textEncoder(second).model]
  }
}
