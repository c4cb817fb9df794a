/// Hard assignment of ascending values to ascending centroids.
package enum NearestCentroid {
  /// The nearest centroid of each value; of equally near ones, the first.
  ///
  /// - Complexity: O(values + centroids)
  package static func assign(_ values: [Double], to centroids: [Double]) -> [Int] {
    precondition(!centroids.isEmpty, "NearestCentroid: no centroids")
    precondition(
      zip(centroids, centroids.dropFirst()).allSatisfy { $0 <= $1 },
      "NearestCentroid: centroids must ascend")
    var firstOfEqual = Array(centroids.indices)
    for j in centroids.indices.dropFirst() where centroids[j] == centroids[j - 1] {
      firstOfEqual[j] = firstOfEqual[j - 1]
    }
    var nearest = 0
    return values.map { value in
      // Exact for half-precision values and centroids: neither the sum nor the doubling rounds.
      while nearest + 1 < centroids.count,
        2 * value > centroids[nearest] + centroids[nearest + 1]
      {
        nearest += 1
      }
      return firstOfEqual[nearest]
    }
  }

  /// The centroids that are nearest to some value, ascending.
  ///
  /// - Parameter cells: as assigned, so that equal ones are neighbours.
  static func used(_ cells: [Int]) -> [Int] {
    cells.indices.compactMap { $0 == 0 || cells[$0] != cells[$0 - 1] ? cells[$0] : nil }
  }

  /// Σ_u mass_u (u - c_{cell(u)})²
  package static func squaredError(
    _ histogram: WeightHistogram, _ centroids: [Double], cells: [Int]
  ) -> Double {
    var error = 0.0
    for row in cells.indices {
      let e = histogram.values[row] - centroids[cells[row]]
      error += histogram.masses[row] * e * e
    }
    return error
  }

  /// Lloyd's iterations: every centroid moves to the mean of its cell, empty ones to the worst
  /// cell.
  ///
  /// - Parameter masses: what each row counts, if not its number of weights, such as summed sensitivities.
  package static func refit(
    _ histogram: WeightHistogram, _ centroids: [Double], masses: [Double]? = nil, rounds: Int
  ) -> [Double] {
    let masses = masses ?? histogram.masses
    var centroids = centroids.sorted()
    for _ in 0..<rounds {
      let cells = Cells(histogram.values, masses, centroids)
      var next = cells.means(or: centroids)
      reseed(&next, dead: cells.empty, cells: cells, values: histogram.values, masses: masses)
      if next == centroids { break }
      centroids = next
    }
    return centroids
  }

  /// Moves dead centroids to the worst cells: each to the mean of the upper part of the cell with
  /// the largest error.
  static func reseed(
    _ centroids: inout [Double], dead: [Int], cells: Cells, values: [Double], masses: [Double]
  ) {
    guard !dead.isEmpty else { return }
    var errors = cells.errors
    for j in dead {
      guard let worst = errors.indices.max(by: { errors[$0] < errors[$1] }), errors[worst] > 0
      else { break }
      let range = cells.ranges[worst]
      let upper = range.filter { values[$0] > cells.mean(worst) && masses[$0] > 0 }
      let total = upper.reduce(0) { $0 + masses[$1] }
      centroids[j] = upper.reduce(0) { $0 + masses[$1] * values[$1] } / total
      errors[worst] = 0
    }
    centroids.sort()
  }
}

/// The rows nearest to each centroid, and their moments.
struct Cells {
  /// Rows of each centroid; contiguous because both ascend.
  let ranges: [Range<Int>]
  let masses: [Double]
  private let moments: [(mean: Double, squaredError: Double)]

  init(_ values: [Double], _ weights: [Double], _ centroids: [Double]) {
    let assigned = NearestCentroid.assign(values, to: centroids)
    var starts = [Int](repeating: 0, count: centroids.count)
    var ends = starts
    for (row, cell) in assigned.enumerated() {
      if ends[cell] == 0 { starts[cell] = row }
      ends[cell] = row + 1
    }
    ranges = centroids.indices.map { starts[$0]..<ends[$0] }
    masses = ranges.map { $0.reduce(0) { $0 + weights[$1] } }
    moments = zip(ranges, masses).map { range, mass in
      mass > 0 ? OptimalKMeans.moments(values, weights, range) : (0, 0)
    }
  }

  var empty: [Int] { masses.indices.filter { !(masses[$0] > 0) } }
  var errors: [Double] { moments.map(\.squaredError) }
  func mean(_ cell: Int) -> Double { moments[cell].mean }

  func means(or centroids: [Double]) -> [Double] {
    centroids.indices.map { masses[$0] > 0 ? moments[$0].mean : centroids[$0] }
  }
}
