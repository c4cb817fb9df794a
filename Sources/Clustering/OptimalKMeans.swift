internal import Kernels

/// The exact minimum of one-dimensional k-means: Σ_u mass_u (u - c_{cell(u)})² over all sorted
/// partitions.
package struct OptimalKMeans: Sendable {
  /// Ascending; fewer than asked for if there are fewer distinct values.
  package let centroids: [Double]
  /// Σ_u mass_u (u - c)²
  package let squaredError: Double
  /// The first row of each cell.
  package let starts: [Int]

  package init(_ histogram: WeightHistogram, clusters: Int) {
    self.init(values: histogram.values, masses: histogram.masses, clusters: clusters)
  }

  /// - Parameters:
  ///   - values: ascending. `[rows]`
  ///   - masses: not negative and not all zero, such as summed sensitivities; rows without mass follow their
  ///     neighbours. `[rows]`
  package init(values: [Double], masses: [Double], clusters: Int) {
    precondition(
      values.count == masses.count, "OptimalKMeans: \(values.count) values, \(masses.count) masses")
    let rows = values.indices.filter { masses[$0] > 0 }
    precondition(clusters > 0 && !rows.isEmpty, "OptimalKMeans: nothing to cluster")
    let x = rows.map { values[$0] }
    let mass = rows.map { masses[$0] }
    let starts = OptimalPartition.starts(
      values: x, masses: mass, cells: min(clusters, x.count))
    var centroids: [Double] = []
    var squaredError = 0.0
    for (cell, start) in starts.enumerated() {
      let range = start..<(cell + 1 < starts.count ? starts[cell + 1] : x.count)
      let (mean, error) = Self.moments(x, mass, range)
      centroids.append(mean)
      squaredError += error
    }
    self.centroids = centroids
    self.squaredError = squaredError
    self.starts = starts.enumerated().map { $0.offset == 0 ? 0 : rows[$0.element] }
  }

  /// Mean and summed squared error of one cell; measured from its first value, so that nothing
  /// cancels.
  static func moments(
    _ values: [Double], _ masses: [Double], _ range: Range<Int>
  ) -> (mean: Double, squaredError: Double) {
    let origin = values[range.lowerBound]
    var total = 0.0
    var moment = 0.0
    for row in range {
      total += masses[row]
      moment += masses[row] * (values[row] - origin)
    }
    let shift = moment / total
    var error = 0.0
    for row in range {
      let e = values[row] - origin - shift
      error += masses[row] * e * e
    }
    return (origin + shift, error)
  }
}
