internal import Foundation
internal import Tensors

/// DPM-Solver++ multistep of order 1 to 3 (Lu et al. 2022); known to diffusers as `DPMSolverMultistepScheduler`.
struct DPMSolverSampler: Sampler {
  let timesteps: [Float]
  private let prediction: NoiseSchedule.Prediction
  private let order: Int
  private let usesHeun: Bool
  /// Whether the last steps drop to lower orders in short runs.
  private let lowersFinalOrder: Bool
  private let firstOrderSteps: Int
  private let endsWithEuler: Bool
  /// σ of every call, and behind the last.
  private let levels: [Double]
  /// Predicted clean pictures, the newest at the end, and how many steps were taken.
  private var history: [Tensor] = []

  init(_ configuration: SamplerConfiguration, steps: Int) {
    let schedule = configuration.schedule
    let grid = SigmaGrid(schedule)
    // Timesteps of less signal than this are left out.
    let kept = grid.levels.prefix { -log($0) >= configuration.leastLambda }.count
    var timesteps = configuration.spacing.timesteps(
      steps, of: max(steps + 1, kept), offset: configuration.offset, extra: 1, trained: schedule.timesteps)
    var levels = timesteps.map { grid.level(at: $0) }
    if configuration.usesKarras {
      levels = SigmaGrid.karras(steps, from: grid.levels[grid.levels.count - 1], to: grid.levels[0])
      timesteps = levels.map { rounded(grid.timestep(of: $0)) }
    }
    let last = configuration.endsAtSmallestLevel ? grid.levels[0] : 0
    self.levels = (levels + [last]).map { Double(Float($0)) }
    self.timesteps = timesteps.map { Float($0) }
    prediction = schedule.prediction
    order = configuration.solverOrder
    usesHeun = configuration.usesHeun
    let isShort = configuration.lowersFinalOrder && steps < 15
    lowersFinalOrder = isShort
    firstOrderSteps = configuration.firstOrderSteps
    endsWithEuler = isShort || configuration.endsWithEuler || !configuration.endsAtSmallestLevel
  }

  /// Signal α, noise σ̂ and half the logarithm of their ratio λ at a level.
  private func parts(_ position: Int) -> (signal: Double, noise: Double, lambda: Double) {
    let level = levels[position]
    let signal = 1 / (level * level + 1).squareRoot()
    return (signal, level * signal, -log(level))
  }

  func noisy(_ clean: Tensor, _ noise: Tensor, at position: Int) -> Tensor {
    let here = parts(position)
    return .combination((here.signal, clean), (here.noise, noise))
  }

  mutating func step(
    _ output: Tensor, at position: Int, from sample: Tensor, noise: () -> Tensor
  ) -> SamplerStep {
    let here = parts(position)
    let denoised: Tensor =
      switch prediction {
      case .epsilon: .combination((1 / here.signal, sample), (-here.noise / here.signal, output))
      case .velocity: .combination((here.signal, sample), (-here.noise, output))
      }
    history = history.suffix(order - 1) + [denoised]
    let left = timesteps.count - position
    var reached = min(order, history.count)
    if left == 2, lowersFinalOrder { reached = min(reached, 2) }
    if left == 1 && endsWithEuler || left <= firstOrderSteps && lowersFinalOrder { reached = 1 }
    return SamplerStep(
      sample: solved(sample, order: reached, from: position), denoised: denoised)
  }

  private func solved(_ sample: Tensor, order: Int, from position: Int) -> Tensor {
    let (here, next) = (parts(position), parts(position + 1))
    let newest = Array(history.reversed())
    let (keep, step) = (next.noise / here.noise, next.lambda - here.lambda)
    // e^(−h) − 1, which is −1 when the next level is 0.
    let decay = expm1(-step)
    let base = -next.signal * decay
    if order == 1 { return .combination((keep, sample), (base, newest[0])) }
    let ratio = (here.lambda - parts(position - 1).lambda) / step
    if order == 2 {
      let slope = usesHeun ? next.signal * (decay / step + 1) : base / 2
      return .combination(
        (keep, sample), (base + slope / ratio, newest[0]), (-slope / ratio, newest[1]))
    }
    let earlier = (parts(position - 1).lambda - parts(position - 2).lambda) / step
    let first = next.signal * (decay / step + 1)
    let second = -next.signal * ((decay + step) / (step * step) - 0.5)
    // D1 = a + r₀/(r₀ + r₁) (a − b) and D2 = (a − b)/(r₀ + r₁), where a and b are the divided differences.
    let sum = ratio + earlier
    let a = (first * (1 + ratio / sum) + second / sum) / ratio
    let b = -(first * ratio / sum + second / sum) / earlier
    return .combination(
      (keep, sample), (base + a, newest[0]), (b - a, newest[1]), (-b, newest[2]))
  }
}
