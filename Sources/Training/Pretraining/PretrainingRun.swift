internal import Foundation
internal import Kernels
internal import Layers
package import Recipes
internal import StableDiffusion
internal import Tensors

/// Trains a UNet and its text encoder together from scratch: steps, averages, checkpoints, log.
package struct PretrainingRun: Sendable {
  private let recipe: PretrainingRecipe
  private let inputs: PretrainingInputs
  private let folder: RunFolder
  private let batches: BatchSource

  package init(_ recipe: PretrainingRecipe, _ inputs: PretrainingInputs, in folder: RunFolder) {
    self.recipe = recipe
    self.inputs = inputs
    self.folder = folder
    batches = BatchSource(inputs.training, recipe.training, inputs.schedule, seed: recipe.seed)
  }

  /// What the log shows of a step.
  package struct Progress: Sendable, Codable {
    package let step: Int
    package let steps: Int
    /// Averaged since the last line.
    package let loss: Double
    package let gradientNorm: Double
    package let secondsPerStep: Double
    /// Seconds to the end at this pace.
    package let secondsLeft: Double
  }

  /// - Parameters:
  ///   - resume: continue from the folder's checkpoint.
  ///   - control: asked after every step.
  package func callAsFunction(
    resume: Bool, control: RunControl, progress: (Progress) -> Void
  ) throws -> PretrainingState {
    var state = try start(resume: resume)
    try folder.create()
    let log = try RunLog(folder.log, after: state.step)
    let (steps, interval) = (recipe.training.steps, max(1, recipe.training.steps / 60))
    var (seconds, since) = (0.0, state.step)
    let loop = TrainingLoop(
      steps: steps, checkpointEvery: recipe.training.checkpointEvery, checkpoint: folder.checkpoint,
      control: control)
    try loop(after: state.step) {
      let started = ContinuousClock.now
      try step(&state)
      seconds += (ContinuousClock.now - started).seconds
      guard state.step % interval == 0 || state.step == steps else { return }
      let line = line(state, since: since, seconds: seconds)
      (seconds, since) = (0, state.step)
      try log.append(line)
      progress(line)
    } write: {
      try state.write(recipe, to: folder.checkpoint)
      try folder.keep(step: state.step, losses: state.losses.map(\.loss), recipe.training)
    }
    try state.write(recipe, to: folder.checkpoint)
    return state
  }

  /// - Parameter seconds: of the steps since the last line.
  private func line(_ state: PretrainingState, since: Int, seconds: Double) -> Progress {
    let recent = state.losses[since...]
    let pace = seconds / Double(recent.count)
    return Progress(
      step: state.step, steps: recipe.training.steps, loss: recent.reduce(0) { $0 + $1.loss } / Double(recent.count),
      gradientNorm: recent.last?.gradientNorm ?? 0, secondsPerStep: pace,
      secondsLeft: pace * Double(recipe.training.steps - state.step))
  }

  private func start(resume: Bool) throws -> PretrainingState {
    guard resume else {
      return PretrainingState(try inputs.initialNetworks(seed: recipe.seed), moments: recipe.training.moments)
    }
    guard folder.hasCheckpoint else { throw TrainingError.nothingToResume(file: folder.checkpoint) }
    return try PretrainingState(resuming: recipe, from: folder.checkpoint)
  }

  private func step(_ state: inout PretrainingState) throws {
    let training = recipe.training
    let store = ParameterStore(state.parameters, origin: recipe.name)
    let batch = try batches.batch(of: state.step)
    let captions = inputs.training.captions.tokens(batch.prompts)[0]
    let (loss, gradients) = try Execution.recomputing(training.recompute) {
      let context = try TextEncoder(store, inputs.textEncoder)(captions).lastHiddenState
      let unet = try UNet(store, inputs.unet)
      let prediction = unet(batch.noisy, timestep: batch.timesteps, context: context)
      let loss = batch.loss(prediction)
      return (loss.scalar, loss.gradients())
    }
    guard loss.isFinite else {
      throw TrainingError.diverged(step: state.step, place: "the network", reason: "the loss is \(loss)")
    }
    let targets = state.parameters.keys.sorted().enumerated().compactMap { index, name in
      gradients[name].flatMap { gradient in
        state.parameters[name].flatMap { parameter in
          state.moments[name].map {
            OptimizerStep.Target(
              gradient: .elements(gradient), parameter: parameter.buffer, moments: $0, seed: UInt32(index))
          }
        }
      }
    }
    let rate = training.learningRate * Schedule.warmCosine(training, step: state.step, steps: training.steps)
    let norm = OptimizerStep(training, rate: rate, step: state.step + 1)(targets)
    state.follow(decay: min(recipe.averageDecay, Double(state.step + 1) / Double(state.step + 10)))
    state.losses.append(.init(loss: Double(loss), gradientNorm: norm))
    state.step += 1
  }
}
