internal import Clustering
internal import Digests
internal import Foundation
internal import Generation
internal import Kernels
internal import Layers
internal import Recipes
internal import StableDiffusion
internal import Tensors
internal import Training

/// Measures full-precision, post-training and tuned weights against each other on the validation pictures.
struct Evaluator {
  private let recipe: Recipe
  private let inputs: RunInputs
  private let evaluation: DenoisingEvaluation
  private let isInterrupted: @Sendable () -> Bool

  init(_ recipe: Recipe, _ inputs: RunInputs, isInterrupted: @escaping @Sendable () -> Bool) throws {
    self.recipe = recipe
    self.inputs = inputs
    self.isInterrupted = isInterrupted
    evaluation = try DenoisingEvaluation(
      inputs.validation, inputs.validationStates, inputs.schedule,
      timesteps: recipe.evaluation.timesteps, limit: recipe.evaluation.pictures)
  }

  func report(_ outcome: TrainingRun.Outcome, _ folder: RunFolder) throws -> Report {
    let reference = try evaluation.predictions(interruptible(inputs.unet.denoiser))
    let postTraining = try HardWeights(postTraining: inputs.weights, recipe.clustering)
    let plain = try evaluation.predictions(interruptible(network(postTraining).denoiser))
    let runner = try PackageDenoiser(folder.package)
    let started = ContinuousClock.now
    let packaged = try evaluation.predictions(
      batch: runner.batch, concurrent: true, interruptible(runner.asked))
    let calls = Double(
      recipe.evaluation.timesteps.count * ((evaluation.pictures - 1) / runner.batch + 1))
    let secondsPerCall = (ContinuousClock.now - started).seconds / calls
    let soft = try evaluation.predictions(
      interruptible(Trainer(recipe, inputs).softNetwork(outcome.state).denoiser))

    let elements = outcome.hard.elementCount
    let fp32 = variant(
      evaluation.quality(reference, reference: nil), bits: 32, bytes: elements * 4)
    let before = variant(evaluation.quality(plain, reference: reference), postTraining)
    var after = variant(evaluation.quality(packaged, reference: reference), outcome.hard)
    after.softEpsilonMSE = evaluation.quality(soft, reference: nil).epsilonMSE
    return Report(
      reference: fp32, postTraining: before, tuned: after,
      shareOfPostTrainingLoss: (after.epsilonMSE - fp32.epsilonMSE)
        / (before.epsilonMSE - fp32.epsilonMSE),
      timesteps: recipe.evaluation.timesteps, run: run(outcome), recipe: recipe,
      package: Report.Package(
        path: folder.package, sha256: try SHA256.ofFolder(folder.package),
        bytes: try StoredSize.bytes(of: folder.package), secondsPerCall: secondsPerCall))
  }

  private func interruptible(_ denoiser: @escaping DenoisingEvaluation.Denoiser) -> DenoisingEvaluation.Denoiser {
    DenoisingEvaluation.interruptible(
      denoiser, isInterrupted, TrainingError.stopped(what: "the evaluation, which --resume begins again"))
  }

  private func network(_ weights: HardWeights) throws -> UNet {
    try UNet(weights.store(origin: recipe.model), inputs.unet.configuration)
  }

  private func variant(
    _ quality: DenoisingEvaluation.Quality, _ weights: HardWeights
  ) -> Report.Variant {
    variant(quality, bits: weights.bitsPerWeight, bytes: (weights.storedBits + 7) / 8)
  }

  private func variant(
    _ quality: DenoisingEvaluation.Quality, bits: Double, bytes: Int
  ) -> Report.Variant {
    Report.Variant(
      epsilonMSE: quality.epsilonMSE, epsilonMSEByTimestep: quality.epsilonMSEByTimestep,
      psnr: quality.psnr, bitsPerWeight: bits, weightBytes: bytes, softEpsilonMSE: nil)
  }

  private func run(_ outcome: TrainingRun.Outcome) -> Report.Run {
    Report.Run(
      steps: recipe.training.steps, seconds: outcome.seconds,
      secondsPerStep: outcome.seconds / Double(max(1, outcome.steps)),
      clusteringShare: outcome.seconds > 0 ? outcome.clusteringSeconds / outcome.seconds : 0,
      peakMemoryBytes: ProcessMemory.peakBytes, threads: Parallel.threads)
  }
}
