package import Kernels

/// Where differentiable k-means comes to rest: c = F(c), found by Newton's method (clustering.md 2d)
///
///     c += (D - K)⁻¹ D (F(c) - c)
///
/// with plain iterations wherever a Newton step is not one to a stable point or does not bring it closer.
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
  ///   - newton: whether to accelerate.
  package init?(
    _ attention: SoftAttention, masses: [Double], scale: Double, limit: Int = 500,
    newton: Bool = true
  ) {
    // Single precision blocks leave noise of about 1e-7 in a moment.
    let tolerance = (attention.precision == .single ? 1e-6 : 2e-14) * scale.squareRoot()
    var attention = attention
    var moments = attention.moments(masses: masses)
    var evaluations = 1
    while Self.residual(moments) > tolerance {
      guard evaluations < limit else { return nil }
      // The first steps from a far start go to where Newton's method means something.
      if newton, evaluations > 2,
        let step = Self.newtonStep(attention, masses: masses, moments: moments)
      {
        var trial = attention
        trial.centroids = zip(attention.centroids, step).map(+)
        if Self.ascends(trial.centroids) {
          let there = trial.moments(masses: masses)
          evaluations += 1
          if Self.residual(there) < Self.residual(moments) {
            (attention, moments) = (trial, there)
            continue
          }
        }
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

  private static func ascends(_ x: [Double]) -> Bool {
    zip(x, x.dropFirst()).allSatisfy { $0 <= $1 } && x.allSatisfy(\.isFinite)
  }

  private static func newtonStep(
    _ attention: SoftAttention, masses: [Double], moments: SoftAttention.Moments
  ) -> [Double]? {
    let system = system(attention, masses: masses, sums: moments.sums)
    return attention.distance == .squared
      ? DenseSystem.solvePositiveDefinite(system, moments.moments)
      : DenseSystem.solve(system, moments.moments)
  }

  /// D - K, row-major `[k, k]`.
  static func system(_ attention: SoftAttention, masses: [Double], sums: [Double]) -> [Double] {
    let k = sums.count
    var system = attention.coupling(masses: masses).map { -$0 }
    for j in 0..<k {
      system[j * k + j] += SoftAttention.isDead(sums, j) ? 1 : sums[j]
    }
    return system
  }

  /// Solves (D - Kᵀ) r = γ; `nil` where the fixed point is not stable (squared distance) or the system singular.
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
