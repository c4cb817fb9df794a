package import Recipes
package import StableDiffusion
package import Tensors

/// What one step learns from: noisy latents, their timesteps and captions, and the noise that was added.
package struct TrainingBatch: Sendable {
  /// `[batch, height, width, channels]`
  package let noisy: Tensor
  /// `[batch]`
  package let timesteps: Tensor
  /// The picture whose caption each sample sees; nil for the empty prompt.
  package let prompts: [Int?]
  /// What the network should predict, `[batch, height, width, channels]`.
  package let target: Tensor
  /// How much each sample's squared error counts; nil if all count alike.
  let weights: [Float]?

  /// Draws the batch of a step: pictures, stratified timesteps, noise and which prompts are left empty.
  package init(
    step: Int, seed: UInt64, _ training: TrainingRecipe, _ dataset: LatentDataset,
    _ schedule: NoiseSchedule, _ sampling: TimestepSampling = .uniform
  ) {
    let count = training.batchSize
    var random = CounterGenerator(seed: seed, .batch, step: step)
    let pictures = (0..<count).map { _ in random.integer(below: dataset.count) }
    var steps = (0..<count).map { i in
      sampling.timestep(at: (Float(i) + random.uniform()) / Float(count), of: schedule.timesteps)
    }
    for i in stride(from: count - 1, to: 0, by: -1) { steps.swapAt(i, random.integer(below: i + 1)) }
    prompts = pictures.map { picture -> Int? in
      random.uniform() < Float(training.emptyPrompts) ? nil : picture
    }
    let clean = dataset.latents.rows(pictures).shifted(atMost: training.shift, seed: seed, step: step)
    var noiseSource = CounterGenerator(seed: seed, .noise, step: step)
    let noise = Tensor(clean.shape, noiseSource.normals(clean.shape.count))
    noisy = schedule.noisy(clean, noise, at: steps).channelsLast()
    target = schedule.target(clean, noise, at: steps).channelsLast()
    timesteps = Tensor([count], steps.map(Float.init))
    weights = Self.weights(training, schedule, steps)
  }

  private static func weights(
    _ training: TrainingRecipe, _ schedule: NoiseSchedule, _ timesteps: [Int]
  ) -> [Float]? {
    guard training.minimumSNR > 0 || training.signalExponent > 0 else { return nil }
    return timesteps.map { timestep in
      let limited =
        training.minimumSNR > 0
        ? schedule.minimumSNRWeight(at: timestep, limit: Float(training.minimumSNR)) : 1
      return limited / schedule.signalPower(at: timestep, exponent: Float(training.signalExponent))
    }
  }

  /// The samples that one of several equal shares has.
  ///
  /// - Precondition: as many shares as divide the batch.
  func share(_ index: Int, of count: Int) -> TrainingBatch {
    let size = prompts.count / count
    precondition(size * count == prompts.count, "batch of \(prompts.count) in \(count) shares")
    let rows = Array(index * size..<(index + 1) * size)
    return TrainingBatch(
      noisy: noisy.rows(rows), timesteps: timesteps.rows(rows), prompts: rows.map { prompts[$0] },
      target: target.rows(rows), weights: weights.map { weights in rows.map { weights[$0] } })
  }

  private init(noisy: Tensor, timesteps: Tensor, prompts: [Int?], target: Tensor, weights: [Float]?) {
    self.noisy = noisy
    self.timesteps = timesteps
    self.prompts = prompts
    self.target = target
    self.weights = weights
  }

  /// The weighted mean of the squared distance between two predictions, `[batch, height, width, channels]`.
  func loss(_ prediction: Tensor, against target: Tensor) -> Tensor {
    prediction.meanSquaredError(to: target, weights: weights)
  }
}
