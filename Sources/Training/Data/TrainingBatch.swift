internal import Kernels
package import Recipes
package import StableDiffusion
package import Tensors

/// Where batches come from: samples, their order, and what training asks of them.
package struct BatchSource: Sendable {
  package let dataset: LatentDataset
  package let training: TrainingRecipe
  package let schedule: NoiseSchedule
  let seed: UInt64
  private let captionDropout: Float
  private let order: SampleOrder

  /// - Parameter seed: the recipe's if nil.
  package init(_ recipe: Recipe, _ dataset: LatentDataset, _ schedule: NoiseSchedule, seed: UInt64? = nil) {
    self.init(
      dataset, recipe.training, schedule, seed: seed ?? recipe.seed, captionDropout: recipe.pictures.captions.dropout)
  }

  package init(
    _ dataset: LatentDataset, _ training: TrainingRecipe, _ schedule: NoiseSchedule, seed: UInt64,
    captionDropout: Double = 0
  ) {
    self.dataset = dataset
    self.training = training
    self.schedule = schedule
    self.seed = seed
    self.captionDropout = Float(captionDropout)
    order = SampleOrder(dataset, training, seed: seed)
  }

  /// Draws the batch of a step: samples, stratified timesteps, noise and which prompts are left empty.
  package func batch(of step: Int, _ sampling: TimestepSampling = .uniform) throws -> TrainingBatch {
    let count = training.batchSize
    var random = CounterGenerator(seed: seed, .batch, step: step)
    let drawn = order.batch(step, &random)
    var steps = (0..<count).map { i in
      sampling.timestep(at: (Float(i) + random.uniform()) / Float(count), of: schedule.timesteps)
    }
    for i in stride(from: count - 1, to: 0, by: -1) { steps.swapAt(i, random.integer(below: i + 1)) }
    // Guided pictures are all asked without their prompts, too.
    let emptyPrompts = training.guidance.share > 0 ? 0 : Float(training.emptyPrompts)
    let isEmpty = drawn.samples.map { _ in random.uniform() < emptyPrompts }
    let samples = drawn.samples.map { dataset.sizes[drawn.size].samples[$0] }
    let prompts = zip(prompts(of: samples, step), isEmpty).map { $1 ? .empty : $0 }

    var variants = CounterGenerator(seed: seed, .variant, step: step)
    let rows = samples.map { sample in
      Int(sample.rows.lowerBound) + (sample.rows.count > 1 ? variants.integer(below: sample.rows.count) : 0)
    }
    let place = LatentDataset.Place(size: drawn.size, rows: rows)
    var posterior = CounterGenerator(seed: seed, .posterior, step: step)
    let clean = try dataset.latents(place) { posterior.normals($0) }
      .shifted(atMost: training.shift, seed: seed, step: step)
    var noiseSource = CounterGenerator(seed: seed, .noise, step: step)
    let noise = Tensor(clean.shape, noiseSource.normals(clean.shape.count))
    let batch = TrainingBatch(
      noisy: schedule.noisy(clean, noise, at: steps).channelsLast(), timesteps: steps,
      prompts: prompts, target: schedule.target(clean, noise, at: steps).channelsLast(),
      sizes: dataset.sizeConditions(place, samples: drawn.samples), weights: weights(steps))
    guard training.guidance.share > 0 else { return batch }
    var scales = CounterGenerator(seed: seed, .guidance, step: step)
    return batch.guided((0..<count).map { _ in training.guidance.scale(at: scales.uniform()) })
  }

  /// How much the samples at some timesteps count; nil if all count alike.
  func weights(_ timesteps: [Int]) -> [Float]? {
    guard training.minimumSNR > 0 || training.signalExponent > 0 else { return nil }
    return timesteps.map { timestep in
      let limited =
        training.minimumSNR > 0
        ? schedule.minimumSNRWeight(at: timestep, limit: Float(training.minimumSNR)) : 1
      return limited / schedule.signalPower(at: timestep, exponent: Float(training.signalExponent))
    }
  }

  /// One of each sample's captions.
  private func prompts(of samples: [LatentDataset.Sample], _ step: Int) -> [Captions.Prompt] {
    var choice = CounterGenerator(seed: seed, .caption, step: step)
    var tags = CounterGenerator(seed: seed, .tags, step: step)
    return samples.map { sample in
      let isLeftOut = captionDropout > 0 && choice.uniform() < captionDropout
      guard !sample.captions.isEmpty, !isLeftOut else { return .empty }
      let number = sample.captions.count > 1 ? choice.integer(below: sample.captions.count) : 0
      return dataset.captions.prompt(Int(sample.captions.lowerBound) + number, &tags)
    }
  }
}

/// What one step learns from: noisy latents, their timesteps and captions, and the noise that was added.
package struct TrainingBatch: Sendable {
  /// `[batch, height, width, channels]`
  package let noisy: Tensor
  /// `[batch]`
  package let timesteps: Tensor
  /// What each sample's network is told.
  package let prompts: [Captions.Prompt]
  /// What the network should predict, `[batch, height, width, channels]`.
  package let target: Tensor
  /// SDXL: of each sample height and width of the picture, top and left of the crop, height and width of the target.
  package let sizes: [[Float]]
  /// How much each sample's squared error counts; nil if all count alike.
  let weights: [Float]?

  /// The guidance of each picture, whose rows come once with their prompts and then once without; nil if each picture
  /// is one row.
  package let guidance: [Float]?

  /// The samples that one of several equal shares has.
  ///
  /// - Precondition: as many shares as divide the batch.
  package func share(_ index: Int, of count: Int) -> TrainingBatch {
    let pictures = guidance?.count ?? prompts.count
    let size = pictures / count
    precondition(size * count == pictures, "batch of \(pictures) in \(count) shares")
    let own = Array(index * size..<(index + 1) * size)
    let rows = guidance == nil ? own : own + own.map { $0 + pictures }
    return TrainingBatch(
      noisy: noisy.rows(rows), timesteps: timesteps.rows(rows), prompts: rows.map { prompts[$0] },
      target: target.rows(rows), sizes: rows.map { sizes[$0] },
      weights: weights.map { weights in rows.map { weights[$0] } },
      guidance: guidance.map { guidance in own.map { guidance[$0] } })
  }

  private init(
    noisy: Tensor, timesteps: Tensor, prompts: [Captions.Prompt], target: Tensor, sizes: [[Float]], weights: [Float]?,
    guidance: [Float]?
  ) {
    self.noisy = noisy
    self.timesteps = timesteps
    self.prompts = prompts
    self.target = target
    self.sizes = sizes
    self.weights = weights
    self.guidance = guidance
  }

  /// A row a picture.
  init(
    noisy: Tensor, timesteps: [Int], prompts: [Captions.Prompt], target: Tensor, sizes: [[Float]], weights: [Float]?
  ) {
    self.init(
      noisy: noisy, timesteps: Tensor([timesteps.count], timesteps.map(Float.init)), prompts: prompts, target: target,
      sizes: sizes, weights: weights, guidance: nil)
  }

  /// Every picture asked twice, with its prompt and without.
  func guided(_ guidance: [Float]) -> TrainingBatch {
    let rows = Array(0..<guidance.count) + Array(0..<guidance.count)
    return TrainingBatch(
      noisy: noisy.rows(rows), timesteps: timesteps.rows(rows),
      prompts: prompts + guidance.map { _ in .empty }, target: target.rows(rows), sizes: sizes + sizes,
      weights: weights.map { $0 + $0 }, guidance: guidance)
  }

  /// The mean squared distance of two networks' answers, of guided ones where pictures are asked twice.
  func meanSquaredError(_ answer: Tensor, _ reference: Tensor) -> Double {
    guard let guidance else { return Double(answer.meanSquaredError(to: reference).scalar) }
    let weights = [Float](repeating: 1, count: guidance.count)
    return Double(answer.guidedSquaredError(to: reference, scales: guidance, weights: weights).scalar)
  }

  /// The weighted mean of the squared distance of a prediction to what the network should predict, to what the teacher
  /// predicts, or of both.
  ///
  /// - Parameters:
  ///   - prediction: `[batch, height, width, channels]`
  ///   - teacher: its prediction; not needed where distillation has no share.
  ///   - distillation: the teacher's share, from 0 to 1.
  ///   - guided: of the teacher's share that of guided answers, from 0 to 1.
  ///   - weight: how much all of it counts.
  func loss(
    _ prediction: Tensor, teacher: Tensor? = nil, distillation: Double = 0, guided: Double = 0, weight: Double = 1,
    effects: PictureEffects? = nil
  ) -> Tensor {
    let guided = guidance == nil ? 0 : guided
    var parts: [Tensor] = []
    for (target, share) in [
      (target as Tensor?, 1 - distillation), (teacher, distillation * (1 - guided)),
    ] {
      guard let target, share > 0 else { continue }
      let factor = share * weight
      let scaled =
        factor == 1 ? weights : (weights ?? [Float](repeating: 1, count: prompts.count)).map { $0 * Float(factor) }
      parts.append(prediction.meanSquaredError(to: target, weights: scaled))
    }
    if let guidance, let teacher, distillation * guided > 0 {
      let factor = Float(distillation * guided * weight)
      let own = guidance.indices.map { index in
        effects.map { $0.weight(at: Int(timesteps.buffer[index])) } ?? weights?[index] ?? 1
      }
      parts.append(
        prediction.guidedSquaredError(
          to: teacher, scales: guidance, weights: guidance.indices.map { own[$0] * factor }))
    }
    precondition(!parts.isEmpty, "loss: no target")
    return parts.dropFirst().reduce(parts[0]) { $0 + $1 }
  }
}
