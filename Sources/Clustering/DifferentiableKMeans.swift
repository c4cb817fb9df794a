internal import Kernels

/// Differentiable k-means of a histogram (DKM, arXiv 2108.12659): from c⁰,
/// `iterations` times
///
///     a_uj = softmax_j(-d(u, c_j)/τ)     c⁺_j = Σ_u n_u a_uj u / Σ_u n_u a_uj
///
/// and then the soft value of each row, table_u = Σ_j a_uj c_j. Only centroids are kept: what is asked of a solution is
/// asked with its histogram.
package struct DifferentiableKMeans: Sendable {
  package let options: ClusteringOptions
  /// c⁰…cᵀ, each ascending.
  package let trajectory: [[Double]]
  /// Σ_u n_u a_uj of each iteration; at a fixed point, of the final centroids as last entry.
  package let sums: [[Double]]
  /// Whether the forward ended at a fixed point, as implicit gradients need.
  package let isFixedPoint: Bool
  /// With its column among ascending centroids.
  private let variant: SoftAttention.Variant?

  package init(
    _ histogram: WeightHistogram, centroids: [Double], options: ClusteringOptions
  ) throws(ClusteringError) {
    try options.validate(centroids: centroids)
    self.options = options
    let order = centroids.indices.sorted { centroids[$0] < centroids[$1] }
    var variant = options.variant
    if let column = variant?.offsetColumn {
      variant!.offsetColumn = order.firstIndex(of: column) ?? order.count
    }
    self.variant = variant
    var attention = Self.attention(histogram, order.map { centroids[$0] }, options, variant)
    if options.gradient == .implicit || options.gradient == .jacobianFree,
      let fixed = FixedPoint(attention, masses: histogram.masses, scale: histogram.variance)
    {
      trajectory = [fixed.centroids]
      sums = [fixed.sums]
      isFixedPoint = true
    } else {
      (trajectory, sums) = Self.iterate(&attention, histogram.masses, options)
      isFixedPoint = false
    }
  }

  /// The final centroids, ascending.
  package var centroids: [Double] { trajectory.last! }

  /// The soft value of each row of the histogram that this is a solution for.
  package func table(_ histogram: WeightHistogram) -> [Double] { readout(histogram).mix(centroids) }

  /// The attention that soft values are mixed with.
  private func readout(_ histogram: WeightHistogram) -> SoftAttention {
    let isPrevious = options.readout == .previous && !isFixedPoint
    return Self.attention(
      histogram, isPrevious ? trajectory[trajectory.count - 2] : centroids, options, variant)
  }

  private static func attention(
    _ histogram: WeightHistogram, _ centroids: [Double], _ options: ClusteringOptions,
    _ variant: SoftAttention.Variant?
  ) -> SoftAttention {
    SoftAttention(
      values: histogram.values, centroids: centroids, temperature: options.temperature,
      distance: options.distance, precision: options.precision, cutoff: options.cutoff, variant: variant)
  }

  private static func iterate(
    _ attention: inout SoftAttention, _ masses: [Double], _ options: ClusteringOptions
  ) -> (trajectory: [[Double]], sums: [[Double]]) {
    var trajectory = [attention.centroids]
    var sums: [[Double]] = []
    var inertia: Double?
    for _ in 0..<options.iterations {
      let moments = attention.moments(masses: masses)
      attention.centroids = moments.updated(attention.centroids)
      trajectory.append(attention.centroids)
      sums.append(moments.sums)
      if let tolerance = options.inertiaTolerance, let previous = inertia, previous != 0,
        abs(previous - moments.inertia) <= tolerance
      {
        break
      }
      inertia = moments.inertia
    }
    return (trajectory, sums)
  }

  // MARK: Gradient

  /// dL/dw_i = gain_{u(i)} g_i + shared_{u(i)} for every weight, exactly.
  package struct Gradient: Sendable {
    /// h_u, the factor on a weight's own upstream gradient.
    package var gain: [Double]
    /// s_u, what comes through the centroids.
    package var shared: [Double]
    /// What was computed: differs from what was asked for where no stable fixed point was found.
    package var method: ClusteringOptions.Gradient
    /// The share of the weights whose gain was cut off at its bound.
    package var clippedShare = 0.0
    /// λ in dL/dw = ∂L/∂w + (∂F/∂w)ᵀ λ, for implicit gradients.
    package var adjoint: [Double]?
  }

  /// - Parameter upstream: G_u, the sum of ∂L/∂table over the weights of each row.
  package func gradient(_ histogram: WeightHistogram, _ upstream: [Double]) -> Gradient {
    let rows = histogram.values.count
    precondition(upstream.count == rows, "gradient: \(upstream.count) for \(rows) rows")
    if options.gradient == .straightThrough {
      return Gradient(
        gain: [Double](repeating: 1, count: rows), shared: [Double](repeating: 0, count: rows),
        method: .straightThrough)
    }
    let attention = readout(histogram)
    let readout = attention.pullbackReadout(gradients: upstream, targets: centroids)
    var result =
      isFixedPoint
      ? implicit(attention, histogram.masses, readout) : unrolled(attention, histogram.masses, readout)
    if let bound = options.maximumGain {
      let clipped = zip(result.gain, histogram.masses).reduce(0) { abs($1.0) > bound ? $0 + $1.1 : $0 }
      result.clippedShare = clipped / histogram.masses.reduce(0, +)
      result.gain = result.gain.map { min(max($0, -bound), bound) }
    }
    return result
  }

  private func unrolled(
    _ attention: SoftAttention, _ masses: [Double], _ readout: SoftAttention.ReadoutPullback
  ) -> Gradient {
    var shared = [Double](repeating: 0, count: masses.count)
    var cotangent = readout.targets
    // γ' goes to the centroids that the read-out's attention was computed from.
    if options.readout == .fresh { cotangent = zip(cotangent, readout.centroids).map(+) }
    var attention = attention
    for iteration in sums.indices.reversed() {
      attention.centroids = trajectory[iteration]
      let slopes = SoftAttention.slopes(cotangent, sums[iteration])
      var previous = attention.pullbackIteration(
        masses: masses, targets: trajectory[iteration + 1], slopes: slopes,
        shared: &shared)
      for j in previous.indices {
        if options.readout == .previous && iteration == sums.count - 1 {
          previous[j] += readout.centroids[j]
        }
        // A dead centroid stayed where it was.
        if SoftAttention.hasNoMass(sums[iteration], j) { previous[j] += cotangent[j] }
      }
      cotangent = previous
    }
    return Gradient(gain: readout.gain, shared: shared, method: .unrolled)
  }

  /// (D - Kᵀ) r = γ + γ', D = diag(sums), K the coupling; then r takes the place of γ_j / S_j.
  private func implicit(
    _ attention: SoftAttention, _ masses: [Double], _ readout: SoftAttention.ReadoutPullback
  ) -> Gradient {
    let total = zip(readout.targets, readout.centroids).map(+)
    let sums = sums[0]
    var slopes = SoftAttention.slopes(total, sums)
    if options.gradient == .implicit {
      let system = FixedPoint.system(attention, masses: masses, sums: sums)
      if let solution = FixedPoint.solveTransposed(system, total, attention.distance) {
        slopes = solution
      } else {
        return unrolledFromFixedPoint(attention, masses, readout)
      }
    }
    var shared = [Double](repeating: 0, count: masses.count)
    _ = attention.pullbackIteration(
      masses: masses, targets: centroids, slopes: slopes, shared: &shared)
    return Gradient(
      gain: readout.gain, shared: shared, method: options.gradient,
      adjoint: zip(slopes, sums).map(*))
  }

  /// At a fixed point every iteration is the same, so unrolling repeats one pullback.
  private func unrolledFromFixedPoint(
    _ attention: SoftAttention, _ masses: [Double], _ readout: SoftAttention.ReadoutPullback
  ) -> Gradient {
    var shared = [Double](repeating: 0, count: masses.count)
    var cotangent = zip(readout.targets, readout.centroids).map(+)
    for _ in 0..<options.iterations {
      cotangent = attention.pullbackIteration(
        masses: masses, targets: centroids,
        slopes: SoftAttention.slopes(cotangent, sums[0]), shared: &shared)
    }
    return Gradient(gain: readout.gain, shared: shared, method: .unrolled)
  }
}

extension SoftAttention {
  /// Centroids with less than a millionth of an even share: no gradient will bring them back.
  static func dead(_ sums: [Double]) -> [Int] {
    let least = 1e-6 * sums.reduce(0, +) / Double(max(1, sums.count))
    return sums.indices.filter { sums[$0] < least }
  }

  /// Whether a centroid has so little mass that dividing by it says nothing.
  static func hasNoMass(_ sums: [Double], _ j: Int) -> Bool {
    !(sums[j] > 1e-12 * sums.reduce(0, +))
  }

  static func slopes(_ cotangent: [Double], _ sums: [Double]) -> [Double] {
    let least = 1e-12 * sums.reduce(0, +)
    return zip(cotangent, sums).map { $1 > least ? $0 / $1 : 0 }
  }
}

extension SoftAttention.Moments {
  /// c_j + moment_j / sum_j; centroids without mass stay.
  func updated(_ centroids: [Double]) -> [Double] {
    let step = SoftAttention.slopes(moments, sums)
    return zip(centroids, step).map(+)
  }
}
