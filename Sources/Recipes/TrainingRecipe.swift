/// How the weights are trained.
package struct TrainingRecipe: Codable, Sendable, Equatable {
  package enum Loss: String, Choice {
    /// The squared distance to the output of the full-precision model.
    case distillation
    /// The squared distance to the noise (or velocity) that the model is to predict.
    case diffusion
    /// Both, ``TrainingRecipe/distillationShare`` of the first.
    case mixture
  }

  /// In what order samples are drawn.
  package enum Order: String, Choice {
    /// Each anew from all.
    case independent
    /// Every sample once before any comes again.
    case epochs
  }

  /// Where the clean latents come from.
  package enum Latents: String, Choice {
    case data
    /// The full-precision model makes them from the data's prompts: no picture is used.
    case teacher
  }

  /// From which timesteps samples are drawn, always one from each stratum of the batch.
  package struct Timesteps: Codable, Sendable, Equatable {
    package enum Distribution: String, Choice {
      case uniform
      /// t / T ~ Beta(alpha, beta): `alpha` above 1 favours noisy timesteps (BitsFusion, Sui et al. 2024: Beta(3, 1)).
      case beta
      /// Half uniform, half in proportion to what post-training palettes lose at each timestep.
      case error
    }

    package var distribution: Distribution
    package var alpha: Double
    package var beta: Double

    init() {
      distribution = .uniform
      alpha = 1
      beta = 1
    }

    package init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      let defaults = Timesteps()
      distribution = try values.value(.distribution, defaults.distribution)
      alpha = try values.value(.alpha, defaults.alpha)
      beta = try values.value(.beta, defaults.beta)
    }
  }

  /// How AdamW's two moments of every weight are kept.
  package enum Moments: String, Choice {
    /// 32-bit floats: 8 bytes a weight.
    case single = "float32"
    /// 4 bytes a weight.
    case brainFloat = "bfloat16"
    /// A byte each, over a scale for every 256: 2 bytes a weight.
    case bytes = "8-bit"
  }

  /// Where latent weights and moments are.
  package enum State: String, Choice {
    case memory
    /// In a file without a name beside the checkpoint, in memory only while they are used.
    case file
  }

  /// What becomes of a run whose numbers are none any more.
  package enum OnNaN: String, Choice {
    /// It ends with an error; the last checkpoint stays.
    case stop
    /// It goes back to the last checkpoint and on from there with half the learning rate, four times at most.
    case rollback
  }

  package var loss: Loss
  /// Distillation's share of a mixture of both losses.
  package var distillationShare: Double
  package var order: Order
  package var steps: Int
  /// Pictures in a step.
  package var batchSize: Int
  /// Of AdamW, after the warm-up.
  package var learningRate: Double
  /// The learning rate at the end, as a share of ``learningRate``; a cosine leads there.
  package var finalShare: Double
  /// Steps in which the learning rate rises from zero.
  package var warmupSteps: Int
  /// Learning rate of palette entries while indices are frozen.
  package var polishLearningRate: Double
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  package var moments: Moments
  package var state: State
  /// Largest global L2 norm of a step's gradient; 0 for no limit, which also lets every weight be stepped as soon as
  /// its gradient is known, so that gradients take no memory.
  package var gradientNorm: Double
  /// Bounds the weight that samples of little noise have, by their signal-to-noise ratio: each sample's squared error
  /// counts `min(SNR, γ) / SNR` times for predicted noise, `min(SNR, γ) / (SNR + 1)` for a predicted velocity (Hang et
  /// al. 2023, "min-SNR"). 0 weighs all alike.
  package var minimumSNR: Double
  /// How much samples of much noise count: each sample's squared error is divided by ᾱ, the signal's share of its
  /// variance, to this power. For predicted noise 0 measures the noise and 1 the velocity that it means (Salimans & Ho
  /// 2022, "SNR + 1"); ½ lets all timesteps count about alike in a trained network.
  package var signalExponent: Double
  /// Latent pixels by which every picture is moved at random, at most, in each direction; its edges are repeated.
  package var shift: Int
  package var latents: Latents
  /// Pictures that the full-precision model makes, and its steps for each.
  package var teacherPictures: Int
  package var teacherSteps: Int
  package var timesteps: Timesteps
  /// How much the distance of the blocks' outputs to the full-precision model's counts beside that of the prediction:
  /// each block's mean squared distance over its mean square, averaged over blocks, times this.
  package var featureWeight: Double
  /// The share of the steps, at the start, in which every block of the UNet is trained by itself: it gets what the
  /// full-precision model's blocks hand on and learns to hand on the same (block reconstruction, as in BRECQ, Li et al.
  /// 2021, of all blocks at once).
  package var blockShare: Double
  /// The share of samples that see the empty prompt, for classifier-free guidance.
  package var emptyPrompts: Double
  /// How much the guided answer counts.
  package var guidance: GuidanceRecipe
  /// How many steps learn from states of samplers.
  package var trajectories: TrajectoryRecipe
  /// Steps between checkpoints.
  package var checkpointEvery: Int
  /// Checkpoints that are kept: the newest, and beside it earlier ones as `state-<step>.h5`.
  package var keepLast: Int
  /// Checkpoints that are kept beside these: those with the lowest mean loss of the steps before them.
  package var keepBest: Int
  package var onNaN: OnNaN
  /// Whether blocks are computed again in the backward pass instead of kept: less memory, a third more time.
  package var recompute: Bool

  /// The same with what changes no bit of a run's state, only where and when it is kept.
  package func keeping(as other: TrainingRecipe) -> TrainingRecipe {
    var training = self
    training.state = other.state
    training.checkpointEvery = other.checkpointEvery
    (training.keepLast, training.keepBest) = (other.keepLast, other.keepBest)
    training.onNaN = other.onNaN
    return training
  }

  /// Distillation's share of the loss.
  package var distillation: Double {
    switch loss {
    case .distillation: 1
    case .diffusion: 0
    case .mixture: distillationShare
    }
  }

  /// Whether every step runs the full-precision model, too.
  package var asksTeacher: Bool { loss != .diffusion || featureWeight > 0 || trajectories.share > 0 }

  /// Rows of the network in a step at most: pictures whose guided answer counts, and states of samplers, are two each.
  package var rows: Int { batchSize * (guidance.share > 0 || trajectories.share > 0 ? 2 : 1) }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    loss = try values.value(.loss, .distillation)
    distillationShare = try values.value(.distillationShare, 0.5)
    order = try values.value(.order, .independent)
    steps = try values.decode(Int.self, forKey: .steps)
    batchSize = try values.value(.batchSize, 16)
    learningRate = try values.value(.learningRate, 3e-4)
    finalShare = try values.value(.finalShare, 0.02)
    warmupSteps = try values.value(.warmupSteps, 10)
    polishLearningRate = try values.value(.polishLearningRate, 1e-4)
    beta1 = try values.value(.beta1, 0.9)
    beta2 = try values.value(.beta2, 0.99)
    epsilon = try values.value(.epsilon, 1e-8)
    weightDecay = try values.value(.weightDecay, 0)
    moments = try values.value(.moments, .single)
    state = try values.value(.state, .memory)
    gradientNorm = try values.value(.gradientNorm, 1)
    minimumSNR = try values.value(.minimumSNR, 0)
    signalExponent = try values.value(.signalExponent, 0)
    shift = try values.value(.shift, 0)
    latents = try values.value(.latents, .data)
    teacherPictures = try values.value(.teacherPictures, 512)
    teacherSteps = try values.value(.teacherSteps, 25)
    timesteps = try values.value(.timesteps, Timesteps())
    featureWeight = try values.value(.featureWeight, 0)
    blockShare = try values.value(.blockShare, 0)
    emptyPrompts = try values.value(.emptyPrompts, 0.1)
    guidance = try values.value(.guidance, GuidanceRecipe())
    trajectories = try values.value(.trajectories, TrajectoryRecipe())
    checkpointEvery = try values.value(.checkpointEvery, 100)
    keepLast = try values.value(.keepLast, 1)
    keepBest = try values.value(.keepBest, 0)
    onNaN = try values.value(.onNaN, .stop)
    recompute = try values.value(.recompute, false)
  }

  func validate() throws(RecipeError) {
    try Check.that(
      (0...1).contains(distillationShare), "training.distillationShare", "between 0 and 1", distillationShare)
    try Check.that((0...10_000_000).contains(steps), "training.steps", "0 to 10000000", steps)
    try Check.that((1...4096).contains(batchSize), "training.batchSize", "1 to 4096", batchSize)
    try Check.that(
      learningRate > 0 && learningRate < 1, "training.learningRate", "between 0 and 1",
      learningRate)
    try Check.that(
      (0...1).contains(finalShare), "training.finalShare", "between 0 and 1", finalShare)
    try Check.that(warmupSteps >= 0, "training.warmupSteps", "0 or more", warmupSteps)
    try Check.that(
      polishLearningRate > 0 && polishLearningRate < 1, "training.polishLearningRate",
      "between 0 and 1", polishLearningRate)
    for (key, value) in [("beta1", beta1), ("beta2", beta2)] {
      try Check.that(value >= 0 && value < 1, "training.\(key)", "0 or more and below 1", value)
    }
    try Check.that(epsilon > 0, "training.epsilon", "above 0", epsilon)
    try Check.that(
      weightDecay >= 0 && weightDecay < 1, "training.weightDecay", "0 or more and below 1",
      weightDecay)
    try Check.that(gradientNorm >= 0, "training.gradientNorm", "0 or more", gradientNorm)
    try Check.that(minimumSNR >= 0, "training.minimumSNR", "0 or more", minimumSNR)
    try Check.that(
      (0...1).contains(signalExponent), "training.signalExponent", "between 0 and 1", signalExponent)
    try Check.that((0...64).contains(shift), "training.shift", "0 to 64", shift)
    try Check.that(teacherPictures > 0, "training.teacherPictures", "1 or more", teacherPictures)
    try Check.that((1...1000).contains(teacherSteps), "training.teacherSteps", "1 to 1000", teacherSteps)
    for (key, value) in [("alpha", timesteps.alpha), ("beta", timesteps.beta)] {
      try Check.that(value > 0 && value <= 100, "training.timesteps.\(key)", "above 0, at most 100", value)
    }
    try Check.that(featureWeight >= 0, "training.featureWeight", "0 or more", featureWeight)
    try Check.that((0...1).contains(blockShare), "training.blockShare", "between 0 and 1", blockShare)
    try Check.that(
      (0...1).contains(emptyPrompts), "training.emptyPrompts", "between 0 and 1", emptyPrompts)
    try guidance.validate()
    try trajectories.validate()
    try Check.that(checkpointEvery > 0, "training.checkpointEvery", "1 or more", checkpointEvery)
    try Check.that((1...10_000).contains(keepLast), "training.keepLast", "1 to 10000", keepLast)
    try Check.that((0...10_000).contains(keepBest), "training.keepBest", "0 to 10000", keepBest)
  }
}
