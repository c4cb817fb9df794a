internal import Foundation

/// Temperatures relative to a tensor's variance.
///
/// With all centroids at the mean, the map's Jacobian is (2σ²/τ)(I - 11ᵀ/k): collapse is stable
/// exactly when τ > 2σ². An absolute temperature therefore destroys
/// layers of small weights.
package enum Temperature {
  /// τ = `multiple` · σ², never zero so that a constant tensor can be clustered too.
  package static func relative(_ multiple: Double, variance: Double) -> Double {
    precondition(multiple > 0 && variance >= 0, "Temperature: \(multiple) of \(variance)")
    return max(multiple * variance, 1e-30)
  }

  /// Geometric from `start` at step 0 to `end` at the last of `steps`.
  ///
  ///     start (end / start)^(step / (steps - 1))
  package static func annealed(from start: Double, to end: Double, step: Int, steps: Int) -> Double {
    precondition(start > 0 && end > 0, "Temperature: from \(start) to \(end)")
    guard steps > 1 else { return end }
    let fraction = Double(min(max(0, step), steps - 1)) / Double(steps - 1)
    return start * pow(end / start, fraction)
  }
}
