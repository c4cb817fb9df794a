package import Kernels

/// One tensor's hard palette for one step of training: every weight is its nearest centroid. The
/// gradient goes to the weights as it is (straight-through), and to the centroids as the sum over
/// each cell, ∂L/∂c_j = Σ_{i∈j} g_i.
package struct HardClustering: Sendable {
  package let histogram: WeightHistogram
  /// As given; their order is the caller's.
  package let centroids: [Float]
  /// The centroid of each row, an index into `centroids`.
  private let cells: [Int]
  private let weightCount: Int

  package init(
    weights: Buffer, range: Range<Int>? = nil, centroids: [Float],
    prescale: WeightHistogram.Prescale = .automatic
  ) throws(ClusteringError) {
    guard (1...256).contains(centroids.count) else {
      throw .centroidCount(found: centroids.count, allowed: 1...256)
    }
    if let bad = centroids.firstIndex(where: { !$0.isFinite }) {
      throw .nonFiniteCentroid(index: bad)
    }
    histogram = try WeightHistogram(weights, range: range, prescale: prescale)
    self.centroids = centroids
    weightCount = weights.count
    let order = centroids.indices.sorted { centroids[$0] < centroids[$1] }
    cells = NearestCentroid.assign(histogram.values, to: order.map { Double(centroids[$0]) })
      .map { order[$0] }
  }

  /// The index of each weight's centroid.
  package var indices: [UInt8] { histogram.gather(cells.map { UInt8($0) }) }

  package func hardWeights() -> Buffer {
    let y = Buffer(uninitialized: weightCount)
    hardWeights(into: y)
    return y
  }

  /// Writes the hard weights at the places of the weights.
  package func hardWeights(into y: Buffer) {
    histogram.gather(cells.map { Double(centroids[$0]) }, into: y)
  }

  /// ∂L/∂w, straight through.
  package func pullback(_ dy: Buffer) -> Buffer { dy }

  /// ∂L/∂c, in the order of ``centroids``.
  package func centroidPullback(_ dy: Buffer) -> [Float] {
    let rows = histogram.scatter(dy)
    var sums = [Double](repeating: 0, count: centroids.count)
    for row in rows.indices { sums[cells[row]] += rows[row] }
    return sums.map(Float.init)
  }
}
