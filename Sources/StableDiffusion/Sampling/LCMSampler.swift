internal import Tensors

/// Latent consistency models (Luo et al. 2023); known to diffusers as `LCMScheduler`.
struct LCMSampler: Sampler {
  let timesteps: [Float]
  private let schedule: NoiseSchedule
  private let finalAlpha: Double
  private let timestepScale: Double
  private let clip: Double?

  init(_ configuration: SamplerConfiguration, steps: Int) {
    schedule = configuration.schedule
    let original = configuration.originalSteps
    let stride = schedule.timesteps / original
    let origin = (1...original).map { $0 * stride - 1 }.reversed().map { Float($0) }
    timesteps = (0..<steps).map { origin[$0 * original / steps] }
    finalAlpha = configuration.setsFinalAlphaToOne ? 1 : schedule.alpha(0)
    timestepScale = configuration.timestepScale
    clip = configuration.clip
  }

  func noisy(_ clean: Tensor, _ noise: Tensor, at position: Int) -> Tensor {
    schedule.noisy(clean, noise, alpha: schedule.alpha(Int(timesteps[position])))
  }

  mutating func step(
    _ output: Tensor, at position: Int, from sample: Tensor, noise: () -> Tensor
  ) -> SamplerStep {
    let factors = schedule.denoisedFactors(alpha: schedule.alpha(Int(timesteps[position])))
    var predicted = Tensor.combination((factors.sample, sample), (factors.output, output))
    if let clip { predicted = predicted.clamped(to: clip) }
    // The boundary condition of consistency models, with the data's deviation 0.5.
    let scaled = Double(timesteps[position]) * timestepScale
    let square = scaled * scaled + 0.25
    let denoised = Tensor.combination(
      (scaled / square.squareRoot(), predicted), (0.25 / square, sample))
    guard position + 1 < timesteps.count else {
      return SamplerStep(sample: denoised, denoised: denoised)
    }
    let alpha = schedule.alpha(Int(timesteps[position + 1]))
    return SamplerStep(sample: schedule.noisy(denoised, noise(), alpha: alpha), denoised: denoised)
  }
}
