import Clustering
import Foundation

/// Weights one by one over a direct histogram: values as given, nothing rounded.
struct Elements {
  let histogram: WeightHistogram
  let rows: [Int]

  init(_ weights: [Double]) {
    let values = Set(weights).sorted()
    var masses = [Double](repeating: 0, count: values.count)
    rows = weights.map { weight in
      var low = 0
      var high = values.count - 1
      while low < high {
        let middle = (low + high) / 2
        if values[middle] < weight { low = middle + 1 } else { high = middle }
      }
      return low
    }
    for row in rows { masses[row] += 1 }
    histogram = WeightHistogram(values: values, masses: masses)
  }

  func expanded(_ table: [Double]) -> [Double] { rows.map { table[$0] } }

  func summed(_ upstream: [Double]) -> [Double] {
    var sums = [Double](repeating: 0, count: histogram.values.count)
    for (index, row) in rows.enumerated() { sums[row] += upstream[index] }
    return sums
  }

  /// ∂L/∂w for every weight.
  func pullback(_ solution: DifferentiableKMeans, _ upstream: [Double]) -> [Double] {
    let gradient = solution.gradient(histogram, summed(upstream))
    return rows.indices.map {
      gradient.gain[rows[$0]] * upstream[$0] + gradient.shared[rows[$0]]
    }
  }
}

/// Repeatable normal numbers: a linear congruential generator through Box and Muller.
func normalNumbers(_ count: Int, deviation: Double = 1, seed: UInt64 = 1) -> [Double] {
  var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
  func uniform() -> Double {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (Double(state >> 11) + 0.5) / 9_007_199_254_740_992
  }
  return (0..<count).map { _ in
    deviation * (-2 * log(uniform())).squareRoot() * cos(2 * .pi * uniform())
  }
}
