internal import StableDiffusion
internal import Tensors

/// Latents that the full-precision model makes of prompts alone, for tuning without pictures.
struct TeacherLatents {
  let teacher: UNet
  /// Without fresh noise.
  let sampler: any Sampler
  let states: TextStates
  let seed: UInt64

  private static let batch = 16

  /// Pictures `0..<count`, each of its own prompt: `[count, channels, height, width]`.
  ///
  /// Without guidance; a function of seed and model, so that a resumed run makes the same ones.
  func callAsFunction(count: Int, shape: Shape) -> Tensor {
    let parts = Execution.withoutGradients {
      stride(from: 0, to: count, by: Self.batch).map { start in
        sample(Array(start..<min(count, start + Self.batch)), Array(shape.axes.dropFirst()))
      }
    }
    return Tensor.stacked(parts)
  }

  private func sample(_ prompts: [Int], _ axes: [Int]) -> Tensor {
    var random = CounterGenerator(seed: seed, stream: 3, step: prompts[0])
    let shape = Shape([prompts.count] + axes)
    var latents = Tensor(shape, random.normals(shape.count)).channelsLast()
    let text = states[prompts.map { $0 }]
    var sampler = sampler
    for (position, number) in sampler.timesteps.enumerated() {
      let timestep = Tensor([prompts.count], [Float](repeating: number, count: prompts.count))
      let prediction = teacher(
        sampler.modelInput(latents, at: position), timestep: timestep, text)
      latents =
        sampler.step(prediction, at: position, from: latents) {
          preconditionFailure("a sampler without fresh noise asks for some")
        }.sample
    }
    return latents.channelsFirst()
  }
}
