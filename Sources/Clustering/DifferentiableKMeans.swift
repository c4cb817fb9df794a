internal import Kernels

/// Differentiable k-means of a histogram (DKM, arXiv 2108.12659; clustering.md 2d): from c⁰,
/// `iterations` times
///
///     a_uj = softmax_j(-d(u, c_j)/τ)     c⁺_j = Σ_u n_u a_uj u / Σ_u n_u a_uj
///
/// and then the soft value of each row, table_u = Σ_j a_uj c_j. Nothing of size rows × centroids is
/// kept.
package struct DifferentiableKMeans: Sendable {
  package let histogram: WeightHistogram
  package let options: ClusteringOptions
  /// c⁰…cᵀ, each ascending.
  package let trajectory: [[Double]]
  /// Σ_u n_u a_uj of each iteration; at a fixed point, of the final centroids as last entry.
  package let sums: [[Double]]
  /// The soft value of each row.
  package let table: [Double]
  /// Whether the forward ended at a fixed point, as implicit gradients need.
  package let isFixedPoint: Bool
  private let attention: SoftAttention

  package init(
    _ histogram: WeightHistogram, centroids: [Double], options: ClusteringOptions
  ) throws(ClusteringError) {
    try options.validate(centroids: centroids)
    self.histogram = histogram
    self.options = options
    let order = centroids.indices.sorted { centroids[$0] < centroids[$1] }
    var variant = options.variant
    if let column = variant?.offsetColumn {
      variant!.offsetColumn = order.firstIndex(of: column) ?? order.count
    }
    var attention = SoftAttention(
      values: histogram.values, centroids: order.map { centroids[$0] },
      temperature: options.temperature, distance: options.distance, precision: options.precision,
      cutoff: options.cutoff, variant: variant)
    if options.gradient == .implicit || options.gradient == .jacobianFree,
      let fixed = FixedPoint(attention, masses: histogram.masses, scale: histogram.variance)
    {
      attention.centroids = fixed.centroids
      trajectory = [fixed.centroids]
      sums = [fixed.sums]
      isFixedPoint = true
    } else {
      (trajectory, sums) = Self.iterate(&attention, histogram.masses, options)
      isFixedPoint = false
      if options.readout == .previous {
        attention.centroids = trajectory[trajectory.count - 2]
      }
    }
    self.attention = attention
    table = attention.mix(trajectory.last!)
  }

  /// The final centroids, ascending.
  package var centroids: [Double] { trajectory.last! }

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
  package func gradient(_ upstream: [Double]) -> Gradient {
    precondition(
      upstream.count == table.count, "gradient: \(upstream.count) for \(table.count) rows")
    if options.gradient == .straightThrough {
      return Gradient(
        gain: table.map { _ in 1 }, shared: table.map { _ in 0 }, method: .straightThrough)
    }
    let readout = attention.pullbackReadout(gradients: upstream, targets: centroids)
    var result = isFixedPoint ? implicit(readout) : unrolled(readout)
    if let bound = options.maximumGain {
      let clipped = zip(result.gain, histogram.masses).reduce(0) { abs($1.0) > bound ? $0 + $1.1 : $0 }
      result.clippedShare = clipped / histogram.masses.reduce(0, +)
      result.gain = result.gain.map { min(max($0, -bound), bound) }
    }
    return result
  }

  private func unrolled(_ readout: SoftAttention.ReadoutPullback) -> Gradient {
    var shared = [Double](repeating: 0, count: table.count)
    var cotangent = readout.targets
    // γ' goes to the centroids that the read-out's attention was computed from.
    if options.readout == .fresh { cotangent = zip(cotangent, readout.centroids).map(+) }
    var attention = attention
    for iteration in sums.indices.reversed() {
      attention.centroids = trajectory[iteration]
      let slopes = SoftAttention.slopes(cotangent, sums[iteration])
      var previous = attention.pullbackIteration(
        masses: histogram.masses, targets: trajectory[iteration + 1], slopes: slopes,
        shared: &shared)
      for j in previous.indices {
        if options.readout == .previous && iteration == sums.count - 1 {
          previous[j] += readout.centroids[j]
        }
        // A dead centroid stayed where it was.
        if SoftAttention.isDead(sums[iteration], j) { previous[j] += cotangent[j] }
      }
      cotangent = previous
    }
    return Gradient(gain: readout.gain, shared: shared, method: .unrolled)
  }

  /// (D - Kᵀ) r = γ + γ', D = diag(sums), K the coupling; then r takes the place of γ_j / S_j.
  private func implicit(_ readout: SoftAttention.ReadoutPullback) -> Gradient {
    let total = zip(readout.targets, readout.centroids).map(+)
    let sums = sums[0]
    var slopes = SoftAttention.slopes(total, sums)
    if options.gradient == .implicit {
      let system = FixedPoint.system(attention, masses: histogram.masses, sums: sums)
      if let solution = FixedPoint.solveTransposed(system, total, attention.distance) {
        slopes = solution
      } else {
        return unrolledFromFixedPoint(readout)
      }
    }
    var shared = [Double](repeating: 0, count: table.count)
    _ = attention.pullbackIteration(
      masses: histogram.masses, targets: centroids, slopes: slopes, shared: &shared)
    return Gradient(
      gain: readout.gain, shared: shared, method: options.gradient,
      adjoint: zip(slopes, sums).map(*))
  }

  /// At a fixed point every iteration is the same, so unrolling repeats one pullback.
  private func unrolledFromFixedPoint(_ readout: SoftAttention.ReadoutPullback) -> Gradient {
    var shared = [Double](repeating: 0, count: table.count)
    var cotangent = zip(readout.targets, readout.centroids).map(+)
    for _ in 0..<options.iterations {
      cotangent = attention.pullbackIteration(
        masses: histogram.masses, targets: centroids,
        slopes: SoftAttention.slopes(cotangent, sums[0]), shared: &shared)
    }
    return Gradient(gain: readout.gain, shared: shared, method: .unrolled)
  }
}

extension SoftAttention {
  /// Whether a centroid has so little mass that dividing by it says nothing.
  static func isDead(_ sums: [Double], _ j: Int) -> Bool {
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
