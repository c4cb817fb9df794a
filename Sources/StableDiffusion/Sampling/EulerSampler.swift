internal import Tensors

/// Euler's method on the noise level (Karras et al. 2022, algorithm 2 without churn), or its ancestral variant, which
/// takes a longer step and adds noise back.
///
/// Known to diffusers as `EulerDiscreteScheduler` and `EulerAncestralDiscreteScheduler`.
struct EulerSampler: Sampler {
  let timesteps: [Float]
  let initialNoiseScale: Double
  private let isAncestral: Bool
  private let prediction: NoiseSchedule.Prediction
  /// σ of every call, and behind the last.
  private let levels: [Double]

  init(_ configuration: SamplerConfiguration, steps: Int) {
    let schedule = configuration.schedule
    let grid = SigmaGrid(schedule)
    var timesteps = configuration.spacing.timesteps(
      steps, of: schedule.timesteps, offset: configuration.offset, isExact: true)
    let isLogarithmic = configuration.interpolatesLogarithmically
    var levels = isLogarithmic ? grid.logarithmic(steps + 1) : timesteps.map { grid.level(at: $0) }
    if configuration.usesKarras {
      levels = SigmaGrid.karras(steps, from: levels[0], to: levels[levels.count - 1])
      timesteps = levels.map { grid.timestep(of: $0) }
    }
    let last = configuration.endsAtSmallestLevel ? grid.levels[0] : 0
    self.levels = (levels + [last]).map { Double(Float($0)) }
    self.timesteps = timesteps.map { Float($0) }
    let largest = self.levels.max() ?? 1
    initialNoiseScale =
      configuration.spacing == .leading ? (largest * largest + 1).squareRoot() : largest
    prediction = schedule.prediction
    isAncestral = configuration.method == .eulerAncestral
  }

  func modelInput(_ sample: Tensor, at position: Int) -> Tensor {
    .combination((1 / (levels[position] * levels[position] + 1).squareRoot(), sample))
  }

  func noisy(_ clean: Tensor, _ noise: Tensor, at position: Int) -> Tensor {
    .combination((1, clean), (levels[position], noise))
  }

  mutating func step(
    _ output: Tensor, at position: Int, from sample: Tensor, noise: () -> Tensor
  ) -> SamplerStep {
    let (level, next) = (levels[position], levels[position + 1])
    let denoised: Tensor
    switch prediction {
    case .epsilon: denoised = .combination((1, sample), (-level, output))
    case .velocity:
      let square = level * level + 1
      denoised = .combination((1 / square, sample), (-level / square.squareRoot(), output))
    }
    guard isAncestral else {
      let ratio = next / level
      return SamplerStep(
        sample: .combination((ratio, sample), (1 - ratio, denoised)), denoised: denoised)
    }
    let added = next * (max(0, level * level - next * next)).squareRoot() / level
    let reached = max(0, next * next - added * added).squareRoot()
    let ratio = reached / level
    return SamplerStep(
      sample: .combination((ratio, sample), (1 - ratio, denoised), (added, noise())),
      denoised: denoised)
  }
}
