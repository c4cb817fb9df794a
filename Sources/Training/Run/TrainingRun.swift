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
  ///   - control: asked after every step.
  ///   - warn: told when the run goes back to a checkpoint.
  ///   - calibrating: told how far the palettes are that the run starts from.
  /// - Returns: nil on all ranks but the first.
  package func callAsFunction(
    resume: Bool, control: RunControl, warn: (String) -> Void = { _ in },
    calibrating: (Calibration.Progress) -> Void = { _ in }, progress: (Progress) -> Void
  ) throws -> Outcome? {
    try Self.check(recipe, ranks)
    try folder.create()
    func begin() throws -> RunState {
      try start {
        try Calibration(recipe, inputs)($0, isInterrupted: control.isInterrupted, progress: calibrating)
      }
    }
    var state = resume ? try resumed() : try begin()
    let trainer = try Trainer(recipe, inputs, ranks: ranks)
    // What lies in the folder may be of an earlier run.
    var (hasCheckpoint, totals) = (resume, RunLog.Totals())
    var last: (restored: Int, diverged: Int)?
    while true {
      do {
        totals = try train(&state, trainer, control, progress) { hasCheckpoint = true }
        break
      } catch let error as TrainingError where error.isDivergence && recipe.training.onNaN == .rollback {
        let scale = state.rateScale / 2
        guard scale >= Self.leastRateScale else { throw TrainingError.keepsDiverging(last: "\(error)") }
        let diverged = state.step
        // Checkpoints that lead to the same place again were too late already.
        if let last, diverged <= last.diverged {
          state = try folder.keptCheckpoint(before: last.restored).map { try start(from: $0) } ?? begin()
        } else {
          state = hasCheckpoint ? try resumed() : try begin()
        }
        state.rateScale = scale
        last = (state.step, diverged)
        warn("\(error.place): on from step \(state.step) with \(scale) times the learning rate")
      }
    }
    guard var whole = try state.whole(recipe, ranks) else { return nil }
    let hard = try HardWeights(whole, recipe.clustering)
    try write(whole, hard: hard)
    whole.moments = [:]
    return Outcome(
      state: whole, hard: hard, seconds: totals.seconds, steps: totals.steps,
      clusteringSeconds: totals.clusteringSeconds)
  }

  /// The learning rate is halved four times at most.
  private static let leastRateScale = 1.0 / 16

  /// Makes the steps that are left.
  ///
  /// - Parameter wrote: called after every checkpoint.
  private func train(
    _ state: inout RunState, _ trainer: Trainer, _ control: RunControl, _ progress: (Progress) -> Void,
    wrote: () -> Void
  ) throws -> RunLog.Totals {
    let log = ranks.isFirst ? try RunLog(folder.log, after: state.step) : nil
    var monitor = RunMonitor(trainer, log?.earlier ?? .init())
    let loop = TrainingLoop(
      steps: recipe.training.steps, checkpointEvery: recipe.training.checkpointEvery, checkpoint: folder.checkpoint,
      control: control, isAny: isAny)
    try loop(after: state.step) {
      let report = try trainer.step(&state)
      if let line = try monitor.record(report, state), let log {
        try log.append(line)
        progress(line)
      }
    } write: {
      if let whole = try state.whole(recipe, ranks) {
        try write(whole, hard: nil)
        try folder.keep(step: whole.step, losses: whole.losses.map(\.loss), recipe.training)
      }
      wrote()
    }
    return monitor.totals
  }

  /// - Throws: ``RankError/unequal(batchSize:ranks:)``
  package static func check(_ recipe: Recipe, _ ranks: Ranks) throws(RankError) {
    guard recipe.training.batchSize % ranks.count == 0 else {
      throw .unequal(batchSize: recipe.training.batchSize, ranks: ranks.count)
    }
  }

  /// - Throws: ``TrainingError/diverged(step:place:reason:)`` instead of keeping what is no number.
  private func write(_ state: RunState, hard: HardWeights?) throws {
    if let place = Divergence(state).weight {
      throw TrainingError.diverged(step: state.step, place: place, reason: "not finite")
    }
    try RunCheckpoint.write(
      .init(recipe: recipe, state: state, hard: hard, geometry: inputs.geometry), to: folder.checkpoint)
  }

  /// Whether it is so on any rank; all know when it returns.
  private func isAny(_ value: Bool) throws(RankError) -> Bool { try ranks.sum([value ? 1 : 0])[0] > 0 }

  private func resumed() throws -> RunState {
    guard folder.hasCheckpoint else { throw TrainingError.nothingToResume(file: folder.checkpoint) }
    return try start(from: folder.checkpoint)
  }

  private func owned() throws -> Set<String> { try TrainedWeights(inputs.weights, recipe.clustering, ranks).owned }

  private func scratch() throws -> ScratchFile? {
    recipe.training.state == .file ? try ScratchFile(in: folder.path) : nil
  }

  /// The state before the first step.
  ///
  /// - Parameter calibrated: gives palettes of the weights named.
  private func start(_ calibrated: ([String]) throws -> [String: PalettizedTensor]) throws -> RunState {
    let (owned, scratch) = (try owned(), try scratch())
    let start = recipe.clustering.start
    return try RunState(
      inputs.weights, recipe, owned: owned,
      sensitivities: start == .fisher ? FisherInformation(recipe, inputs).diagonal : [:],
      calibrated: start == .calibrated ? calibrated(owned.sorted()) : [:], scratch: scratch)
  }

  private func start(from checkpoint: String) throws -> RunState {
    let (owned, scratch) = (try owned(), try scratch())
    let contents: RunCheckpoint.Contents
    do { contents = try RunCheckpoint.read(checkpoint, keepingIn: scratch) } catch let error as FileError {
      guard let older = folder.olderCheckpoint else { throw error }
      throw TrainingError.damaged("\(error)", older: older)
    }
    var earlier = contents.recipe
    // Who runs out of memory may go on with a file, and keep other checkpoints.
    earlier.training = earlier.training.keeping(as: recipe.training)
    guard earlier == recipe else {
      throw TrainingError.otherRecipe(
        file: checkpoint, difference: earlier.difference(from: recipe))
    }
    try check(contents.state, of: checkpoint)
    return contents.state.part(owned)
  }

  /// - Throws: ``FileError/malformedItem(file:item:expected:found:)`` where a sampler that the recipe follows is not there.
  private func check(_ state: RunState, of checkpoint: String) throws(FileError) {
    guard recipe.training.trajectories.share > 0, state.step > 0 || !state.samplers.isEmpty else { return }
    let size = inputs.training.shapes[0]
    let expected = Shape([1, size[1], size[2], size[0]])
    for number in 0..<recipe.training.batchSize where state.samplers[number]?.shape != expected {
      throw .malformedItem(
        file: checkpoint, item: "samplers/\(number)", expected: "latents of \(expected)",
        found: state.samplers[number].map { "\($0.shape)" } ?? "nothing")
    }
  }
}
