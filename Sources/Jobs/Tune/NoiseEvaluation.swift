internal import Foundation
internal import Generation
internal import Models
internal import Recipes
internal import Tensors
internal import Training

/// How well a reference and packages predict the noise of a dataset's validation pictures, as `report.json` has it.
struct NoiseEvaluation {
  private let evaluation: DenoisingEvaluation
  private let answers: DenoisingEvaluation.Predictions
  /// The reference's own.
  let reference: DenoisingEvaluation.Quality
  private let isInterrupted: @Sendable () -> Bool

  /// - Parameters:
  ///   - data: latents and tokens, as recipes name them
  ///   - packages: those that will be asked; one that does not fit the data is refused before a UNet runs.
  init(
    model: ModelSource, data: String, packages: [(path: String, denoiser: PackageDenoiser)],
    isInterrupted: @escaping @Sendable () -> Bool
  ) throws {
    let recipe = try RecipeFile.standard(
      name: "evaluation", model: URL(filePath: model.path).path, data: URL(filePath: data).path, steps: 1, settings: [])
    let tuning = try TuningModel(model)
    let inputs = try RunInputs(recipe, tuning, RunData(prepared: recipe, model: tuning, folder: URL(filePath: "/")))
    let (height, width) = (inputs.geometry.height, inputs.geometry.width)
    for (path, package) in packages {
      if let size = package.fixedSize, size != (height, width) {
        throw GenerationError.mismatch(
          what: path, expected: "latents of \(height)×\(width), the data's",
          found: "\(size.height)×\(size.width)")
      }
      if let tokens = package.fixedTokens, tokens != inputs.geometry.tokens {
        throw GenerationError.mismatch(
          what: path, expected: "\(inputs.geometry.tokens) tokens, the data's", found: "\(tokens)")
      }
    }
    self.isInterrupted = isInterrupted
    evaluation = try DenoisingEvaluation(
      inputs.validation, inputs.validationStates, inputs.schedule, timesteps: recipe.evaluation.timesteps)
    answers = try evaluation.predictions(
      DenoisingEvaluation.interruptible(inputs.unet.denoiser, isInterrupted, GenerationError.interrupted))
    reference = evaluation.quality(answers, reference: nil)
  }

  /// A package's, its PSNR against the reference's answers.
  func quality(_ package: PackageDenoiser) throws -> DenoisingEvaluation.Quality {
    let own = try evaluation.predictions(
      batch: package.batch, concurrent: true,
      DenoisingEvaluation.interruptible(package.asked, isInterrupted, GenerationError.interrupted))
    return evaluation.quality(own, reference: answers)
  }
}

extension DenoisingEvaluation {
  /// A denoiser that throws `error` instead of an answer once the user wants to stop.
  static func interruptible(
    _ denoiser: @escaping Denoiser, _ isInterrupted: @escaping @Sendable () -> Bool, _ error: any Error
  ) -> Denoiser {
    { noisy, timestep, text in
      if isInterrupted() { throw error }
      return try denoiser(noisy, timestep, text)
    }
  }
}
