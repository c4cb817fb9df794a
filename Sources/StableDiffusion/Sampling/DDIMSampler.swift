internal import Tensors

/// Denoising diffusion implicit models (Song et al. 2021); known to diffusers as `DDIMScheduler`.
struct DDIMSampler: Sampler {
  let timesteps: [Float]
  private let schedule: NoiseSchedule
  /// Timesteps from one call to the next.
  private let stride: Int
  /// ᾱ behind the last timestep.
  private let finalAlpha: Double
  private let eta: Double
  private let clip: Double?

  init(_ configuration: SamplerConfiguration, steps: Int) {
    schedule = configuration.schedule
    timesteps = configuration.spacing.timesteps(
      steps, of: schedule.timesteps, offset: configuration.offset
    ).map { Float($0) }
    stride = schedule.timesteps / steps
    finalAlpha = configuration.setsFinalAlphaToOne ? 1 : schedule.alpha(0)
    eta = configuration.eta
    clip = configuration.clip
  }

  func noisy(_ clean: Tensor, _ noise: Tensor, at position: Int) -> Tensor {
    schedule.noisy(clean, noise, alpha: schedule.alpha(Int(timesteps[position])))
  }

  mutating func step(
    _ output: Tensor, at position: Int, from sample: Tensor, noise: () -> Tensor
  ) -> SamplerStep {
    let timestep = Int(timesteps[position])
    let previous = timestep - stride
    let alpha = schedule.alpha(timestep)
    let nextAlpha = previous >= 0 ? schedule.alpha(previous) : finalAlpha
    let clean = schedule.denoisedFactors(alpha: alpha)
    let noisy = schedule.noiseFactors(alpha: alpha)
    var denoised = Tensor.combination((clean.sample, sample), (clean.output, output))
    if let clip { denoised = denoised.clamped(to: clip) }
    let variance = (1 - nextAlpha) / (1 - alpha) * (1 - alpha / nextAlpha)
    let deviation = eta * max(0, variance).squareRoot()
    let direction = max(0, 1 - nextAlpha - deviation * deviation).squareRoot()
    var next = Tensor.combination(
      (nextAlpha.squareRoot(), denoised), (direction * noisy.sample, sample),
      (direction * noisy.output, output))
    if eta > 0 { next = .combination((1, next), (deviation, noise())) }
    return SamplerStep(sample: next, denoised: denoised)
  }
}
