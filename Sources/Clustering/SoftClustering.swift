package import Kernels

/// One tensor's soft palette for one step of training: soft weights forward, gradients backward.
package struct SoftClustering: Sendable {
  private let rows: WeightHistogram.Rows
  private let solution: DifferentiableKMeans
  /// After this step, ascending, for the next one to start from; centroids without mass have been
  /// moved to the worst cells.
  package let centroids: [Float]
  private let weightCount: Int

  /// - Parameters:
  ///   - weights: latent weights; read again in ``pullback(_:)``, so they must not change before.
  ///   - range: the part of the buffer that this palette covers, all of it if `nil`.
  ///   - centroids: at most 2^bits, in any order.
  package init(
    weights: Buffer, range: Range<Int>? = nil, centroids: [Float], options: ClusteringOptions,
    prescale: WeightHistogram.Prescale = .automatic
  ) throws(ClusteringError) {
    try self.init(
      WeightHistogram(weights, range: range, prescale: prescale), of: weights, centroids: centroids, options: options)
  }

  /// - Parameter histogram: of a part of `weights`.
  package init(
    _ histogram: WeightHistogram, of weights: Buffer, centroids: [Float], options: ClusteringOptions
  ) throws(ClusteringError) {
    guard let rows = histogram.rows else { preconditionFailure("SoftClustering: a direct histogram") }
    self.rows = rows
    solution = try DifferentiableKMeans(
      histogram, centroids: centroids.map(Double.init), options: options)
    weightCount = weights.count
    if let bad = solution.centroids.firstIndex(where: { !$0.isFinite }) { throw .nonFiniteCentroid(index: bad) }
    self.centroids = Self.revived(solution, histogram).map(Float.init)
  }

  /// Moves dead centroids to the worst cells.
  private static func revived(_ solution: DifferentiableKMeans, _ histogram: WeightHistogram) -> [Double] {
    var centroids = solution.centroids
    let dead = SoftAttention.dead(solution.sums.last ?? [])
    guard !dead.isEmpty else { return centroids }
    let cells = Cells(histogram.values, histogram.masses, centroids)
    NearestCentroid.reseed(
      &centroids, dead: dead, cells: cells, values: histogram.values, masses: histogram.masses)
    return centroids
  }

  /// w̃, of the weights' shape.
  package func softWeights() -> Buffer { filled { softWeights(into: $0) } }

  /// Writes w̃ at the places of the weights.
  package func softWeights(into y: Buffer) {
    let histogram = WeightHistogram(rows)
    histogram.gather(solution.table(histogram), into: y)
  }

  /// w̃, to be computed where it is used; of a palette that covers all of its buffer.
  package func softElements() -> WeightElements {
    let histogram = WeightHistogram(rows)
    return histogram.elements(solution.table(histogram))
  }

  /// ∂L/∂w from ∂L/∂w̃.
  package func pullback(_ dy: Buffer) -> Buffer {
    filled { pullback(dy, into: $0) }
  }

  /// - Returns: the share of the weights whose gain was cut off at its bound.
  @discardableResult
  package func pullback(_ dy: Buffer, into dx: Buffer) -> Double {
    let gradient = gradient(dy)
    gradient.parameter.write(into: dx)
    return gradient.clippedShare
  }

  /// ∂L/∂w, to be computed where it is read, and the share of the weights whose gain was cut off at its bound.
  package func gradient(_ dy: Buffer) -> (parameter: KeyedAffine, clippedShare: Double) {
    let histogram = WeightHistogram(rows)
    let gradient = solution.gradient(histogram, histogram.scatter(dy))
    return (histogram.affine(gain: gradient.gain, shared: gradient.shared, dy: dy), gradient.clippedShare)
  }

  private func filled(_ write: (Buffer) -> Void) -> Buffer {
    let y = Buffer(uninitialized: weightCount)
    write(y)
    return y
  }
}
