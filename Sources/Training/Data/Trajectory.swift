internal import Recipes
package import StableDiffusion
package import Tensors

/// A way from noise to picture by deterministic DDIM with guidance: what it is told, and when.
package struct Trajectory: Sendable {
  package let prompt: Captions.Prompt
  package let guidance: Float
  /// Of each position, descending.
  package let timesteps: [Int]
  /// Where it begins, `[1, height, width, channels]`.
  package let noise: Tensor

  /// The latents after a position.
  ///
  /// - Parameters:
  ///   - latents: before it, `[1, height, width, channels]`.
  ///   - conditional: the network's answer with the prompt.
  ///   - unconditional: without it.
  package func next(
    _ latents: Tensor, conditional: Tensor, unconditional: Tensor, at position: Int, _ schedule: NoiseSchedule
  ) -> Tensor {
    let answer = guided(conditional, unconditional)
    let next = position + 1 < timesteps.count ? timesteps[position + 1] : 0
    return schedule.stepped(latents, answer, from: timesteps[position], to: next)
  }

  /// The answer that guidance makes of two.
  func guided(_ conditional: Tensor, _ unconditional: Tensor) -> Tensor {
    let scale = Double(guidance)
    return .combination((scale, conditional), (1 - scale, unconditional))
  }
}

extension BatchSource {
  /// One of as many trajectories as there are numbers: its prompt, guidance, timesteps and noise are a function of seed
  /// and number.
  package func trajectory(_ number: Int) -> Trajectory {
    var random = CounterGenerator(seed: seed, .trajectory, step: number)
    let size = dataset.sizes[0]
    let sample = size.samples[random.integer(below: size.samples.count)]
    let scale = training.guidance.scale(at: random.uniform())
    let (count, steps, shift) = (schedule.timesteps, training.trajectories.steps, random.uniform())
    let timesteps = (0..<steps).map { position in
      min(count - 1, Int((1 - (Float(position) + shift) / Float(steps)) * Float(count)))
    }
    let noise = Tensor(Shape([1] + size.shape), random.normals(size.shape.reduce(1, *))).channelsLast()
    let prompt: Captions.Prompt =
      sample.captions.isEmpty ? .empty : dataset.captions.prompt(Int(sample.captions.lowerBound), &random)
    return Trajectory(prompt: prompt, guidance: scale, timesteps: timesteps, noise: noise)
  }

  /// What the network is asked at some states of trajectories.
  func batch(_ states: [(trajectory: Trajectory, position: Int, latents: Tensor)]) -> TrainingBatch {
    let shape = dataset.shapes[0]
    let size = [shape[1], shape[2]].map { Float($0 * dataset.magnification) }
    let latents = Tensor.stacked(states.map(\.latents))
    let timesteps = states.map { $0.trajectory.timesteps[$0.position] }
    return TrainingBatch(
      noisy: latents, timesteps: timesteps, prompts: states.map(\.trajectory.prompt), target: latents,
      sizes: states.map { _ in size + [0, 0] + size }, weights: weights(timesteps)
    ).guided(states.map(\.trajectory.guidance))
  }
}
