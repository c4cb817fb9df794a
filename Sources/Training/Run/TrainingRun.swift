internal import Checkpoints
package import Clustering
package import Distribution
internal import Files
internal import Kernels
package import Recipes
internal import Tensors

/// A run from its recipe, or from its last checkpoint, to the hard weights: steps, checkpoints, log.
package struct TrainingRun: Sendable {
  package let recipe: Recipe
  package let inputs: RunInputs
  package let folder: RunFolder
  private let ranks: Ranks

  /// - Parameter ranks: the processes that share out every batch; the first alone writes files.
  package init(_ recipe: Recipe, _ inputs: RunInputs, in folder: RunFolder, ranks: Ranks = .alone) {
    self.ranks = ranks
    self.recipe = recipe
    self.inputs = inputs
    self.folder = folder
  }

  /// What the log shows of a step.
  package struct Progress: Sendable, Codable {
    package let step: Int
    package let steps: Int
    package let phase: String
    /// With palettes as soft as they are in this step, averaged since the last line.
    package let loss: Double
    /// With every weight its nearest entry.
    package let hardLoss: Double
    package let gradientNorm: Double
    /// Share of the palettized weights whose own gradient's factor was cut off at `clustering.maximumGain`.
    package let clippedShare: Double
    /// Share of weights whose index changed since the last line.
    package let flipRate: Double
    /// Of all steps so far, and of these what palettes took.
    package let seconds: Double
    package let clusteringSeconds: Double
    /// Of the last steps.
    package let secondsPerStep: Double
    /// Of these seconds what palettes took.
    package let clusteringShare: Double
    /// Seconds to the end at this pace.
    package let secondsLeft: Double
    /// Weights whose palettes lost entries, or whose entries merged.
    package let collapsed: [String]
    /// Of each palettized weight: 10 log₁₀(Σw² / Σ(w − ŵ)²) in dB, every weight its nearest entry.
    package let signalToNoise: [String: Double]
  }

  /// How a run ended.
  package struct Outcome: Sendable {
    /// Without its moments: a full-size network's are more than all that is still to come.
    package let state: RunState
    package let hard: HardWeights
    /// Of the steps that this process made, and of earlier ones by their log.
    package let seconds: Double
    package let steps: Int
    package let clusteringSeconds: Double
  }

  /// - Parameters:
  ///   - resume: continue from the folder's checkpoint.
  ///   - isInterrupted: asked after every step; the run then writes a checkpoint and throws.
  /// - Returns: nil on all ranks but the first.
  package func callAsFunction(
    resume: Bool, isInterrupted: @Sendable () -> Bool, progress: (Progress) -> Void
  ) throws -> Outcome? {
    try Self.check(recipe, ranks)
    try folder.create()
    var state = try start(resume: resume)
    let trainer = try Trainer(recipe, inputs, ranks: ranks)
    let log = ranks.isFirst ? try RunLog(folder.log, after: state.step) : nil
    var monitor = RunMonitor(trainer, log?.earlier ?? .init())
    let loop = TrainingLoop(
      steps: recipe.training.steps, checkpointEvery: recipe.training.checkpointEvery, checkpoint: folder.checkpoint,
      isAny: isAny)
    try loop(after: state.step, isInterrupted: isInterrupted) {
      let report = try trainer.step(&state)
      if let line = try monitor.record(report, state), let log {
        try log.append(line)
        progress(line)
      }
    } write: {
      if let whole = try state.whole(recipe, ranks) { try write(whole, hard: nil) }
    }
    guard var whole = try state.whole(recipe, ranks) else { return nil }
    let hard = try HardWeights(whole, recipe.clustering)
    try write(whole, hard: hard)
    whole.moments = [:]
    return Outcome(
      state: whole, hard: hard, seconds: monitor.totals.seconds, steps: monitor.totals.steps,
      clusteringSeconds: monitor.totals.clusteringSeconds)
  }

  /// - Throws: ``RankError/unequal(batchSize:ranks:)``
  package static func check(_ recipe: Recipe, _ ranks: Ranks) throws(RankError) {
    guard recipe.training.batchSize % ranks.count == 0 else {
      throw .unequal(batchSize: recipe.training.batchSize, ranks: ranks.count)
    }
  }

  private func write(_ state: RunState, hard: HardWeights?) throws(FileError) {
    try RunCheckpoint.write(
      .init(recipe: recipe, state: state, hard: hard, geometry: inputs.geometry), to: folder.checkpoint)
  }

  /// Whether it is so on any rank; all know when it returns.
  private func isAny(_ value: Bool) throws(RankError) -> Bool { try ranks.sum([value ? 1 : 0])[0] > 0 }

  private func start(resume: Bool) throws -> RunState {
    let owned = try TrainedWeights(inputs.weights, recipe.clustering, ranks).owned
    let scratch = recipe.training.state == .file ? try ScratchFile(in: folder.path) : nil
    guard resume else {
      let fisher = recipe.clustering.start == .fisher
      let sensitivities = fisher ? try FisherInformation(recipe, inputs).diagonal : [:]
      return try RunState(inputs.weights, recipe, owned: owned, sensitivities: sensitivities, scratch: scratch)
    }
    guard folder.hasCheckpoint else {
      throw TrainingError.nothingToResume(file: folder.checkpoint)
    }
    let contents = try RunCheckpoint.read(folder.checkpoint, keepingIn: scratch)
    var earlier = contents.recipe
    // Where the state is kept changes no bit of it: who runs out of memory may go on with a file.
    earlier.training.state = recipe.training.state
    guard earlier == recipe else {
      throw TrainingError.otherRecipe(
        file: folder.checkpoint, difference: earlier.difference(from: recipe))
    }
    return contents.state.part(owned)
  }
}
