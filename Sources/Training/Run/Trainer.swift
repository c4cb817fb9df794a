internal import Clustering
package import Distribution
internal import Kernels
internal import Layers
package import Recipes
internal import StableDiffusion
internal import Tensors

/// Fine-tunes a UNet whose weights are being palettized.
package struct Trainer: Sendable {
  package let recipe: Recipe
  let configuration: UNetConfiguration
  let teacher: UNet
  private let inputs: RunInputs
  private let priorBatches: BatchSource?
  let ranks: Ranks
  let weights: TrainedWeights
  private let sampling: TimestepSampling
  private let trajectories: Trajectories?
  private let effects: PictureEffects?

  /// - Parameter ranks: the processes that share out every batch.
  package init(_ recipe: Recipe, _ inputs: RunInputs, ranks: Ranks = .alone) throws {
    self.recipe = recipe
    self.ranks = ranks
    configuration = inputs.unet.configuration
    teacher = inputs.unet
    self.inputs = inputs
    priorBatches = inputs.prior.map { BatchSource(recipe, $0.data, inputs.schedule, seed: recipe.seed &+ 1) }
    weights = try TrainedWeights(inputs.weights, recipe.clustering, ranks)
    sampling = try TimestepSampling(recipe, inputs)
    effects =
      recipe.training.guidance.share > 0 && recipe.training.guidance.weights == .picture
      ? try PictureEffects(recipe, inputs) : nil
    let size = recipe.training.batchSize / ranks.count
    trajectories =
      recipe.training.trajectories.share > 0
      ? Trajectories(batches: inputs.batches, samplers: ranks.rank * size..<(ranks.rank + 1) * size) : nil
  }

  /// What a step did, for the log.
  package struct StepReport: Sendable {
    package let loss: RunState.StepLoss
    package let phase: TrainingPhase
    /// Of the palettized weights those whose gain was cut off at its bound.
    package let clippedShare: Double
    /// Of the seconds those that palettes took; see ``PaletteTime``.
    package let clusteringSeconds: Double
    package let seconds: Double
  }

  /// One step, in place.
  ///
  /// - Throws: ``TrainingError/diverged`` with the weight's name.
  package func step(_ state: inout RunState) throws -> StepReport {
    let started = ContinuousClock.now
    if state.samplers.isEmpty, let trajectories { state.samplers = try trajectories.start() }
    let phase = recipe.phase(at: state.step)
    if state.step == recipe.polishStart { try freeze(&state) }
    let time = PaletteTime()
    let palettes = try time.counting { try self.palettes(of: state, in: phase) }

    let source = try layerWeights(state, palettes, time)
    let apart = recipe.trainsBlocksApart(at: state.step)
    let part = try part(of: state, step: state.step)
    var answers = Answers()
    let loss = try Execution.recomputing(recipe.training.recompute) {
      try self.loss(part, source, blocksApart: apart) { answers = $0 }
    }
    // Several ranks learn of it together, below; alone, nothing has changed yet.
    if ranks.count == 1, !loss.scalar.isFinite {
      throw try divergence(state, part, source, apart, loss: Double(loss.scalar))
    }
    var update = StepUpdate(state, palettes, optimizer(state, phase), weights, ranks, time)
    Execution.recomputing(recipe.training.recompute) {
      // Every rank has the mean over its share of the batch.
      loss.gradients(seed: Tensor(repeating: 1 / Float(ranks.count), shape: loss.shape)) { name, gradient in
        update.take(gradient, of: name)
      }
    }
    let norm = try update.finish()
    guard norm.isFinite else {
      throw TrainingError.diverged(
        step: state.step, place: update.notFinite.map { "the gradient of '\($0)'" } ?? "the gradient",
        reason: "its norm is \(norm)")
    }
    time.counting {
      let names = state.palettized
      let (current, learned) = (state.centroids, update.learned)
      let next = Parallel.map(names.count) { index in
        let name = names[index]
        defer { palettes[name]?.weights.letGo() }
        return palettes[name]?.nextCentroids(after: learned[name]?.elements ?? current[name] ?? [])
      }
      for (name, centroids) in zip(names, next) { state.centroids[name] = centroids }
    }
    // Ranks learn together of a palette that only one of them has.
    let bad = state.palettized.first { !(state.centroids[$0] ?? []).allSatisfy(\.isFinite) }
    let sums = try ranks.sum(
      [Double(loss.scalar), update.clipped.elements, update.clipped.of, bad == nil ? 0 : 1])
    let measured = RunState.StepLoss(loss: sums[0] / Double(ranks.count), gradientNorm: norm)
    guard measured.loss.isFinite else {
      throw TrainingError.diverged(step: state.step, place: "the network", reason: "the loss is \(measured.loss)")
    }
    guard sums[3] == 0 else {
      let place = bad.map { "the palette of '\($0)'" } ?? "a palette of another rank"
      throw TrainingError.diverged(step: state.step, place: place, reason: "its entries are not finite")
    }
    if part.isTrajectory, let trajectories, let leading = answers[recipe.training.trajectories.leader] {
      state.samplers = trajectories.next(state.samplers, after: place(of: state.step).trajectorySteps, leading)
    }
    state.losses.append(measured)
    state.step += 1
    return StepReport(
      loss: measured, phase: phase, clippedShare: sums[1] / max(1, sums[2]), clusteringSeconds: time.seconds,
      seconds: (ContinuousClock.now - started).seconds)
  }

  /// What a loss that is not finite came from.
  private func divergence(
    _ state: RunState, _ part: Part, _ source: any ParameterSource, _ blocksApart: Bool, loss: Double
  ) throws -> TrainingError {
    let teacher = Execution.withoutGradients { self.teacher.outputs(part.batch, part.text) }
    let place = try Divergence(state).forward(
      {
        try UNet(source, configuration).outputs(
          part.batch, part.text, following: blocksApart ? teacher.blocks : nil)
      }, teacher: teacher)
    return .diverged(step: state.step, place: place, reason: "not finite; the loss is \(loss)")
  }

  /// This rank's share of a step's batch, what its prompts say, and how much its loss counts.
  private struct Part {
    let batch: TrainingBatch
    let text: Conditioning
    let weight: Double
    var isTrajectory = false
  }

  /// What the networks answered, without its history.
  private struct Answers {
    private(set) var student: Tensor?
    private(set) var teacher: Tensor?

    init() {}

    init(student: Tensor, teacher: Tensor?) {
      self.student = Tensor(student.shape, student.buffer)
      self.teacher = teacher
    }

    subscript(leader: TrajectoryRecipe.Leader) -> Tensor? { leader == .student ? student : teacher }
  }

  /// What a step learns from, and how many steps of its kind there were before it. Kinds are spread evenly and counted
  /// apart, so that an epoch has every picture of its set.
  private func place(of step: Int) -> (kind: Kind, priorSteps: Int, trajectorySteps: Int, dataSteps: Int) {
    let prior = inputs.prior == nil ? 0 : recipe.prior.share
    let share = recipe.training.trajectories.share
    let priorSteps = Int(prior * Double(step))
    let own = step - priorSteps
    let trajectorySteps = Int(share * Double(own))
    let kind: Kind =
      Int(prior * Double(step + 1)) > priorSteps
      ? .prior : Int(share * Double(own + 1)) > trajectorySteps ? .trajectories : .data
    return (kind, priorSteps, trajectorySteps, own - trajectorySteps)
  }

  private enum Kind { case prior, trajectories, data }

  /// - Parameter step: the state's or the one before it.
  private func part(of state: RunState, step: Int) throws -> Part {
    let place = place(of: step)
    switch place.kind {
    case .prior:
      guard let prior = inputs.prior, let batches = priorBatches else { preconditionFailure("no prior") }
      let batch = try batches.batch(of: place.priorSteps, sampling).share(ranks.rank, of: ranks.count)
      return Part(batch: batch, text: prior.states[batch.prompts], weight: recipe.prior.weight)
    case .trajectories:
      guard let trajectories else { preconditionFailure("no trajectories") }
      // The samplers have no earlier states.
      let batch = trajectories.batch(state.samplers, after: self.place(of: state.step).trajectorySteps)
      return Part(batch: batch, text: inputs.trainingStates[batch.prompts], weight: 1, isTrajectory: true)
    case .data:
      let batch = try inputs.batches.batch(of: place.dataSteps, sampling).share(ranks.rank, of: ranks.count)
      return Part(batch: batch, text: inputs.trainingStates[batch.prompts], weight: 1)
    }
  }

  /// Over ranks.
  private func mean(_ value: Double) throws(RankError) -> Double {
    try ranks.sum([value])[0] / Double(ranks.count)
  }

  /// - Parameter blocksApart: whether every block is fed the teacher's activations and trained to reproduce its output.
  private func loss(
    _ part: Part, _ source: any ParameterSource, blocksApart: Bool = false, answered: (Answers) -> Void = { _ in }
  ) throws -> Tensor {
    let (training, batch) = (recipe.training, part.batch)
    let featureWeight = blocksApart ? 1 : training.featureWeight
    let teacher =
      training.asksTeacher || blocksApart || featureWeight > 0
      ? Execution.withoutGradients { self.teacher.outputs(batch, part.text) } : nil
    let student = try UNet(source, configuration).outputs(
      batch, part.text, following: blocksApart ? teacher?.blocks : nil)
    answered(Answers(student: student.prediction, teacher: teacher?.prediction))
    let loss = batch.loss(
      student.prediction, teacher: teacher?.prediction,
      distillation: blocksApart || part.isTrajectory ? 1 : training.distillation, guided: training.guidance.share,
      weight: part.weight, effects: effects)
    guard featureWeight > 0, let teacher else { return loss }
    return try zip(student.blocks, teacher.blocks).reduce(loss) { sum, blocks in
      let meanSquare = try mean(Elementwise.sumOfSquares(blocks.1.buffer) / Double(blocks.1.shape.count))
      let weight = featureWeight / Double(student.blocks.count) / max(meanSquare, 1e-12)
      return sum
        + blocks.0.meanSquaredError(
          to: blocks.1, weights: [Float](repeating: Float(weight), count: blocks.0.shape[0]))
    }
  }

  /// The palettes of a state with every weight its nearest entry.
  func hardPalettes(of state: RunState) throws -> [String: StepPalette] {
    try palettes(of: state, in: state.frozen.isEmpty ? .hard : .polish)
  }

  /// The loss of the batch of the last step with such palettes.
  func loss(_ state: RunState, _ palettes: [String: StepPalette]) throws -> Double {
    let source = try layerWeights(state, palettes)
    return try Execution.withoutGradients {
      try mean(Double(try loss(part(of: state, step: max(0, state.step - 1)), source).scalar))
    }
  }

  private func optimizer(_ state: RunState, _ phase: TrainingPhase) -> OptimizerStep {
    let earlier = phase == .polish ? recipe.polishStart : 0
    return OptimizerStep(
      recipe.training, rate: state.rateScale * recipe.learningRate(at: state.step), step: state.step - earlier + 1)
  }
}

extension Duration {
  /// The duration in seconds.
  package var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
