package import StableDiffusion
package import Tensors

/// The steps from noise to latents, for one picture.
package struct DenoisingLoop: Sendable {
  /// What one step did.
  package struct Step: Sendable {
    package let position: Int
    package let timestep: Float
    /// What the network was given, `[1, channels, height, width]`.
    package let input: Tensor
    /// The network's predictions for all rows, `[rows, channels, height, width]`.
    package let predictions: Tensor
    /// The prediction that was followed, guidance included.
    package let output: Tensor
    /// The latents after the step.
    package let latents: Tensor
    /// The clean latents as predicted in this step.
    package let denoised: Tensor
  }

  /// What every row is conditioned on: the negative prompt's row before the prompt's, or the prompt's alone.
  package let conditioning: Conditioning
  /// SDXL: `[rows, numbers]`
  package let sizes: Tensor?
  /// A ControlNet and its picture.
  package let control: Control?
  package let guidance: Double
  /// Whether the rows are asked one after the other.
  package let asksSeparately: Bool
  /// Mask and masked latents that inpainting UNets take beside the sample, `[1, 5, height, width]`.
  package var extraChannels: Tensor?

  package init(
    _ conditioning: Conditioning, sizes: Tensor? = nil, control: Control? = nil, guidance: Double,
    asksSeparately: Bool = false
  ) {
    self.conditioning = conditioning
    self.sizes = sizes
    self.control = control
    self.guidance = guidance
    self.asksSeparately = asksSeparately
  }

  /// - Parameters:
  ///   - latents: the first sample, already scaled or noisy
  ///   - first: the position to start at
  ///   - end: the position to stop before; nil for the sampler's end
  ///   - noise: draws noise of the latents' shape
  ///   - keep: may replace the latents after a step, as inpainting does
  ///   - observe: is shown every step
  /// - Returns: the last latents and the last predicted clean ones.
  package func callAsFunction(
    _ denoiser: any Denoiser, _ sampler: any Sampler, from latents: Tensor, at first: Int = 0,
    until end: Int? = nil, noise: () -> Tensor, keep: (Tensor, Int) -> Tensor = { latents, _ in latents },
    observe: (Step) throws -> Void = { _ in }
  ) throws -> (latents: Tensor, denoised: Tensor) {
    var sampler = sampler
    var latents = latents
    var denoised = latents
    for position in first..<max(first, end ?? sampler.timesteps.count) {
      let input = sampler.modelInput(latents, at: position)
      let predictions = try predictions(denoiser, input, sampler.timesteps[position])
      let output = guided(predictions)
      guard output.elements.allSatisfy(\.isFinite) else {
        throw GenerationError.notANumber(component: "UNet", step: position + 1)
      }
      let step = sampler.step(output, at: position, from: latents, noise: noise)
      latents = keep(step.sample, position)
      denoised = step.denoised
      try observe(
        Step(
          position: position, timestep: sampler.timesteps[position], input: input, predictions: predictions,
          output: output, latents: latents, denoised: denoised))
    }
    return (latents, denoised)
  }

  /// The network's predictions for all rows.
  package func predictions(
    _ denoiser: any Denoiser, _ input: Tensor, _ timestep: Float
  ) throws -> Tensor {
    let full = extraChannels.map { Self.joined(input, $0) } ?? input
    let rows = conditioning.states.shape[0]
    let groups = asksSeparately ? (0..<rows).map { [$0] } : [Array(0..<rows)]
    let predictions = try groups.map { group in
      let sample = full.rows(group.map { _ in 0 })
      let rows = conditioning.rows(group)
      var extras = DenoiserExtras(sizes: sizes?.rows(group))
      if let control {
        extras.residuals = try control(
          input.rows(group.map { _ in 0 }), timestep: timestep, rows, sizes: extras.sizes)
      }
      return try denoiser(sample, timestep: timestep, rows, extras)
    }
    return predictions.count == 1 ? predictions[0] : .stacked(predictions)
  }

  /// `negative + guidance (positive − negative)`
  private func guided(_ predictions: Tensor) -> Tensor {
    guard predictions.shape[0] == 2 else { return predictions }
    return .combination((1 - guidance, predictions.rows([0])), (guidance, predictions.rows([1])))
  }

  /// Channels of one sample after those of another.
  static func joined(_ a: Tensor, _ b: Tensor) -> Tensor {
    Tensor([1, a.shape[1] + b.shape[1], a.shape[2], a.shape[3]], a.elements + b.elements)
  }
}
