package import Kernels

/// One tensor's soft palette for one step of training: soft weights forward, gradients backward.
package struct SoftClustering: Sendable {
  package let histogram: WeightHistogram
  package let solution: DifferentiableKMeans
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
    histogram = try WeightHistogram(weights, range: range, prescale: prescale)
    solution = try DifferentiableKMeans(
      histogram, centroids: centroids.map(Double.init), options: options)
    weightCount = weights.count
    self.centroids = Self.revived(solution).map(Float.init)
  }

  /// Centroids with less than a millionth of an even share are dead: no gradient will bring them
  /// back.
  private static func revived(_ solution: DifferentiableKMeans) -> [Double] {
    var centroids = solution.centroids
    guard let sums = solution.sums.last else { return centroids }
    let least = 1e-6 * sums.reduce(0, +) / Double(sums.count)
    let dead = sums.indices.filter { sums[$0] < least }
    guard !dead.isEmpty else { return centroids }
    let histogram = solution.histogram
    let cells = Cells(histogram.values, histogram.masses, centroids)
    NearestCentroid.reseed(
      &centroids, dead: dead, cells: cells, values: histogram.values, masses: histogram.masses)
    return centroids
  }

  /// w̃, of the weights' shape.
  package func softWeights() -> Buffer { filled { softWeights(into: $0) } }

  /// Writes w̃ at the places of the weights.
  package func softWeights(into y: Buffer) { histogram.gather(solution.table, into: y) }

  /// Each weight's nearest centroid.
  package func hardWeights() -> Buffer { filled { hardWeights(into: $0) } }

  package func hardWeights(into y: Buffer) {
    let centroids = solution.centroids
    let cells = NearestCentroid.assign(histogram.values, to: centroids)
    histogram.gather(cells.map { centroids[$0] }, into: y)
  }

  /// ∂L/∂w from ∂L/∂w̃.
  package func pullback(_ dy: Buffer) -> Buffer {
    if solution.options.gradient == .straightThrough { return dy }
    return filled { _ = pullback(dy, into: $0) }
  }

  /// - Returns: the share of the weights whose gain was cut off at its bound.
  @discardableResult
  package func pullback(_ dy: Buffer, into dx: Buffer) -> Double {
    let gradient = solution.gradient(
      solution.options.gradient == .straightThrough
        ? solution.table.map { _ in 0 } : histogram.scatter(dy))
    histogram.affine(gain: gradient.gain, shared: gradient.shared, dy: dy, into: dx)
    return gradient.clippedShare
  }

  private func filled(_ write: (Buffer) -> Void) -> Buffer {
    let y = Buffer(uninitialized: weightCount)
    write(y)
    return y
  }
}
