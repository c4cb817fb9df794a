package import Kernels

/// Differentiable k-means of one palette of vectors (DKM, arXiv 2108.12659): from c⁰, `iterations` times
///
///     a_ij = softmax_j(-|x_i - c_j|²/τ)     c⁺_j = Σ_i a_ij x_i / Σ_i a_ij
///
/// and then the soft value of each vector, Σ_j a_ij c_j. Gradients are exact, through all iterations. Vectors have no
/// histogram: every pass goes over all of them, and only centroids are kept.
///
/// A vector may be a single weight. Then this is what ``SoftClustering`` does without rounding weights to half precision,
/// and it is faster where a palette has few entries and too few weights for many of them to be equal.
package struct SoftVectorClustering: Sendable {
  private let attention: VectorAttention
  private let options: ClusteringOptions
  /// c⁰…cᵀ, each `[entries, vector]`.
  private let trajectory: [[Float]]
  /// Σ_i a_ij of each iteration.
  private let sums: [[Double]]
  private let dimension: Int
  private let count: Int

  /// - Parameters:
  ///   - elements: arranged so that vectors are neighbours; read again in the pullback, so they must not change before.
  ///   - range: the vectors of this palette.
  ///   - centroids: `[entries, vector]`
  ///   - options: bits, temperature, iterations, read-out and bound of the gain; the gradient is unrolled.
  package init(
    arranged elements: Buffer, range: Range<Int>, dimension: Int, centroids: [Float], options: ClusteringOptions
  ) {
    var attention = VectorAttention(
      elements, range: range, dimension: dimension, centroids: centroids, temperature: options.temperature)
    var trajectory = [centroids]
    var sums: [[Double]] = []
    for _ in 0..<options.iterations {
      let moments = attention.moments()
      let step = Self.quotients(moments.moments, moments.sums, dimension)
      attention.centroids = zip(attention.centroids, step).map(+)
      trajectory.append(attention.centroids)
      sums.append(moments.sums)
    }
    if options.readout == .previous, trajectory.count > 1 {
      attention.centroids = trajectory[trajectory.count - 2]
    }
    self.attention = attention
    self.trajectory = trajectory
    self.sums = sums
    self.options = options
    self.dimension = dimension
    count = range.count
  }

  /// The final centroids, `[entries, vector]`.
  package var centroids: [Float] { trajectory[trajectory.count - 1] }

  /// Whether no gradient will bring some centroids back.
  package var hasDeadCentroids: Bool { !SoftAttention.dead(sums.last ?? []).isEmpty }

  /// Writes the soft vectors at their places.
  package func softWeights(into y: Buffer) { attention.mix(centroids, into: y) }

  /// Writes ∂L/∂w at the vectors' places, from ∂L/∂w̃.
  ///
  /// - Returns: the share of the vectors whose gain was cut off at its bound.
  @discardableResult
  package func pullback(_ dy: Buffer, into dx: Buffer) -> Double {
    let readout = attention.pullbackReadout(
      dy, targets: centroids, bound: options.maximumGain ?? .infinity, into: dx)
    var cotangent = readout.targets
    if options.readout == .fresh { cotangent = zip(cotangent, readout.centroids).map(+) }
    var attention = attention
    for iteration in sums.indices.reversed() {
      attention.centroids = trajectory[iteration]
      var previous = attention.pullbackIteration(
        targets: trajectory[iteration + 1], slopes: Self.quotients(cotangent, sums[iteration], dimension), into: dx)
      for at in previous.indices {
        if options.readout == .previous, iteration == sums.count - 1 { previous[at] += readout.centroids[at] }
        // A dead centroid stayed where it was.
        if SoftAttention.hasNoMass(sums[iteration], at / dimension) { previous[at] += cotangent[at] }
      }
      cotangent = previous
    }
    return Double(readout.shortened) / Double(count)
  }

  /// Each centroid's numbers over its mass; zero where it has none.
  private static func quotients(_ numbers: [Double], _ sums: [Double], _ dimension: Int) -> [Float] {
    numbers.indices.map { at in
      SoftAttention.hasNoMass(sums, at / dimension) ? 0 : Float(numbers[at] / sums[at / dimension])
    }
  }
}
