internal import Foundation

/// Noise levels σ = √((1 − ᾱ) / ᾱ) of a schedule, and between its timesteps.
struct SigmaGrid: Sendable {
  let levels: [Double]
  private let logarithms: [Double]

  init(_ schedule: NoiseSchedule) {
    var alphas = schedule.cumulativeAlphas
    // Pure noise has no finite level; diffusers puts the smallest half here.
    if alphas.last == 0 { alphas[alphas.count - 1] = 1 / 16_777_216 }
    levels = alphas.map { Double((1 - $0) / $0).squareRoot() }
    logarithms = levels.map { log($0) }
  }

  /// Levels from the largest to the smallest whose logarithms are evenly spaced (diffusers' `log_linear`).
  func logarithmic(_ count: Int) -> [Double] {
    let (first, last) = (logarithms[logarithms.count - 1], logarithms[0])
    return (0..<count).map { exp(first + Double($0) / Double(max(1, count - 1)) * (last - first)) }
  }

  /// The level at a timestep, which need not be whole.
  func level(at timestep: Double) -> Double {
    let place = min(max(timestep, 0), Double(levels.count - 1))
    let low = min(Int(place), levels.count - 2)
    let share = place - Double(low)
    return levels[low] + share * (levels[low + 1] - levels[low])
  }

  /// The timestep whose level this is, linear in log σ between timesteps.
  func timestep(of level: Double) -> Double {
    let logarithm = log(max(level, 1e-10))
    let above = logarithms.lastIndex { $0 <= logarithm } ?? 0
    let low = min(above, logarithms.count - 2)
    let weight = (logarithms[low] - logarithm) / (logarithms[low] - logarithms[low + 1])
    let share = min(max(weight, 0), 1)
    return (1 - share) * Double(low) + share * Double(low + 1)
  }

  /// Levels between two, spaced as Karras et al. 2022, equation 5, with ρ = 7.
  static func karras(_ steps: Int, from largest: Double, to smallest: Double) -> [Double] {
    let (first, last) = (pow(largest, 1 / 7), pow(smallest, 1 / 7))
    return (0..<steps).map { step in
      pow(first + Double(step) / Double(max(1, steps - 1)) * (last - first), 7)
    }
  }
}
