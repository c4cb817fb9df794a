internal import Tensors

/// Pseudo linear multi-step (Liu et al. 2022) without its Runge–Kutta start; known to diffusers as `PNDMScheduler` with
/// `skip_prk_steps`.
///
/// The second call repeats a timestep, so the network is asked once more than there are steps.
struct PNDMSampler: Sampler {
  let timesteps: [Float]
  private let schedule: NoiseSchedule
  private let stride: Int
  private let finalAlpha: Double
  /// The last answers, the newest at the end.
  private var outputs: [Tensor] = []
  private var calls = 0
  private var first: Tensor?

  init(_ configuration: SamplerConfiguration, steps: Int) {
    schedule = configuration.schedule
    var grid = configuration.spacing.timesteps(
      steps, of: schedule.timesteps, offset: configuration.offset
    ).map { Float($0) }
    if steps > 1 { grid.insert(grid[1], at: 1) }
    timesteps = grid
    stride = schedule.timesteps / steps
    finalAlpha = configuration.setsFinalAlphaToOne ? 1 : schedule.alpha(0)
  }

  func noisy(_ clean: Tensor, _ noise: Tensor, at position: Int) -> Tensor {
    schedule.noisy(clean, noise, alpha: schedule.alpha(Int(timesteps[position])))
  }

  mutating func step(
    _ output: Tensor, at position: Int, from sample: Tensor, noise: () -> Tensor
  ) -> SamplerStep {
    var timestep = Int(timesteps[position])
    var previous = timestep - stride
    if calls == 1 {
      (previous, timestep) = (timestep, timestep + stride)
    } else {
      outputs = outputs.suffix(3) + [output]
    }
    var start = sample
    let mixed: Tensor
    switch (calls, outputs.count) {
    case (0, _):
      (mixed, first) = (output, sample)
    case (1, _):
      mixed = .combination((0.5, output), (0.5, outputs[0]))
      start = first ?? sample
      first = nil
    default: mixed = Self.multistep(outputs)
    }
    calls += 1
    return transfer(start, mixed, from: timestep, to: previous)
  }

  /// Adams–Bashforth of the order that the history allows.
  private static func multistep(_ outputs: [Tensor]) -> Tensor {
    let newest = Array(outputs.reversed())
    return switch newest.count {
    case 1: newest[0]
    case 2: .combination((1.5, newest[0]), (-0.5, newest[1]))
    case 3: .combination((23 / 12, newest[0]), (-16 / 12, newest[1]), (5 / 12, newest[2]))
    default:
      .combination(
        (55 / 24, newest[0]), (-59 / 24, newest[1]), (37 / 24, newest[2]), (-9 / 24, newest[3]))
    }
  }

  /// Equation 9 of the paper.
  private func transfer(
    _ sample: Tensor, _ output: Tensor, from timestep: Int, to previous: Int
  ) -> SamplerStep {
    let alpha = schedule.alpha(min(timestep, schedule.timesteps - 1))
    let nextAlpha = previous >= 0 ? schedule.alpha(previous) : finalAlpha
    let factors = schedule.noiseFactors(alpha: alpha)
    let clean = schedule.denoisedFactors(alpha: alpha)
    let denominator =
      alpha * (1 - nextAlpha).squareRoot() + (alpha * (1 - alpha) * nextAlpha).squareRoot()
    let slope = (nextAlpha - alpha) / denominator
    return SamplerStep(
      sample: .combination(
        ((nextAlpha / alpha).squareRoot() - slope * factors.sample, sample), (-slope * factors.output, output)),
      denoised: .combination((clean.sample, sample), (clean.output, output)))
  }
}
