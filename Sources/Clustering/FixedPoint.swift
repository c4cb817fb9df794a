package import Kernels

/// Where differentiable k-means comes to rest: c = F(c), found by Newton's method
///
///     c += (D - K)⁻¹ D (F(c) - c)
///
/// with plain iterations wherever a Newton step is not one to a stable point or does not bring it
/// closer. Absolute distances are only iterated: their map has a kink at every weight, and Newton
/// steps across kinks were seen to circle or to end elsewhere than iterating does.
package struct FixedPoint: Sendable {
  package let centroids: [Double]
  /// Σ_u n_u a_uj at the centroids.
  package let sums: [Double]
  /// Evaluations of the map that it took.
  package let evaluations: Int

  /// `nil` if it did not come within the tolerance in `limit` evaluations.
  ///
  /// - Parameters:
  ///   - scale: variance of the weights; the tolerance is relative to its root.
  ///   - limit: 40 in single precision, where a step of training waits for it (warm starts need
  ///     2 to 10, and what is not there by then is passing a saddle, which takes hundreds), or
  ///     100,000.
  ///   - newton: whether to accelerate.
  package init?(
    _ attention: SoftAttention, masses: [Double], scale: Double, limit: Int? = nil,
    newton: Bool = true
  ) {
    // Single precision blocks leave noise of about 1e-7 in a moment.
    let deviation = scale.squareRoot()
    let tolerance = (attention.precision == .single ? 1e-6 : 2e-14) * deviation
    let limit = limit ?? (attention.precision == .single ? 40 : 100_000)
    var attention = attention
    var moments = attention.moments(masses: masses)
    var evaluations = 1
    while Self.residual(moments) > tolerance {
      guard evaluations < limit else { return nil }
      // The first steps from a far start go to where Newton's method means something.
      if newton, attention.distance == .squared, evaluations > 2,
        let closer = Self.newton(
          attention, masses: masses, moments, radius: 0.1 * deviation, &evaluations)
      {
        (attention, moments) = closer
        continue
      }
      attention.centroids = moments.updated(attention.centroids)
      moments = attention.moments(masses: masses)
      evaluations += 1
    }
    centroids = attention.centroids
    sums = moments.sums
    self.evaluations = evaluations
  }

  /// max_j |F(c) - c|
  private static func residual(_ moments: SoftAttention.Moments) -> Double {
    SoftAttention.slopes(moments.moments, moments.sums).reduce(0) { max($0, abs($1)) }
  }

  /// The longest of a few Newton steps that brings the centroids closer to rest; `nil` if none
  /// does or if they are not near a stable fixed point.
  ///
  /// Steps stay within `radius`, so that the fixed point is the one that iterating would find.
  private static func newton(
    _ attention: SoftAttention, masses: [Double], _ moments: SoftAttention.Moments,
    radius: Double, _ evaluations: inout Int
  ) -> (SoftAttention, SoftAttention.Moments)? {
    let system = system(attention, masses: masses, sums: moments.sums)
    guard let step = DenseSystem.solvePositiveDefinite(system, moments.moments),
      step.allSatisfy(\.isFinite)
    else { return nil }
    let length = step.reduce(0) { max($0, abs($1)) }
    let whole = min(1, radius / max(length, .leastNormalMagnitude))
    var trial = attention
    for share in [1, 0.5, 0.25] {
      // Centroids that merge may overtake one another; which is which does not matter.
      trial.centroids = zip(attention.centroids, step).map { $0 + share * whole * $1 }.sorted()
      let there = trial.moments(masses: masses)
      evaluations += 1
      if residual(there) < residual(moments) { return (trial, there) }
    }
    return nil
  }

  /// D - K, row-major `[k, k]`.
  static func system(_ attention: SoftAttention, masses: [Double], sums: [Double]) -> [Double] {
    let k = sums.count
    var system = attention.coupling(masses: masses).map { -$0 }
    for j in 0..<k {
      system[j * k + j] += SoftAttention.hasNoMass(sums, j) ? 1 : sums[j]
    }
    return system
  }

  /// Solves (D - Kᵀ) r = γ; `nil` where the fixed point is not stable (squared distance) or the
  /// system singular.
  static func solveTransposed(
    _ system: [Double], _ cotangent: [Double], _ distance: SoftAttention.Distance
  ) -> [Double]? {
    guard distance == .absolute else {
      return DenseSystem.solvePositiveDefinite(system, cotangent)
    }
    let k = cotangent.count
    var transposed = system
    for j in 0..<k {
      for m in 0..<k { transposed[j * k + m] = system[m * k + j] }
    }
    return DenseSystem.solve(transposed, cotangent)
  }
}
