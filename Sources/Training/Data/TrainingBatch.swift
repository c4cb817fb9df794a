package import Recipes
package import StableDiffusion
package import Tensors

/// What one step learns from: noisy latents, their timesteps and captions, and the noise that was added.
package struct TrainingBatch: Sendable {
  /// `[batch, height, width, channels]`
  package let noisy: Tensor
  /// `[batch]`
  package let timesteps: Tensor
  /// `[batch, tokens, features]`
  package let context: Tensor
  /// What the network should predict, `[batch, height, width, channels]`.
  package let target: Tensor

  /// Draws the batch of a step: pictures, stratified timesteps, noise and which prompts are left empty.
  package init(
    step: Int, _ recipe: Recipe, _ dataset: LatentDataset, _ states: TextStates,
    _ schedule: NoiseSchedule
  ) {
    let count = recipe.training.batchSize
    var random = CounterGenerator(seed: recipe.seed, stream: 0, step: step)
    let pictures = (0..<count).map { _ in random.integer(below: dataset.count) }
    var steps = (0..<count).map { i in
      min(
        schedule.timesteps - 1,
        Int((Float(i) + random.uniform()) / Float(count) * Float(schedule.timesteps)))
    }
    for i in stride(from: count - 1, to: 0, by: -1) { steps.swapAt(i, random.integer(below: i + 1)) }
    let prompts = pictures.map { picture -> Int? in
      random.uniform() < Float(recipe.training.emptyPrompts) ? nil : picture
    }
    let clean = dataset.latents.rows(pictures)
    var noiseSource = CounterGenerator(seed: recipe.seed, stream: 1, step: step)
    let noise = Tensor(clean.shape, noiseSource.normals(clean.shape.count))
    noisy = schedule.noisy(clean, noise, at: steps).channelsLast()
    target = schedule.target(clean, noise, at: steps).channelsLast()
    timesteps = Tensor([count], steps.map(Float.init))
    context = states[prompts]
  }
}
