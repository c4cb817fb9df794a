/// What can be wrong with the input of clustering.
package enum ClusteringError: Error, Equatable, CustomStringConvertible {
  case emptyTensor
  /// Infinite, not a number, or beyond what half precision holds; the index counts from the
  /// tensor's start.
  case nonFiniteWeights(count: Int, firstIndex: Int)
  case unsupportedBits(Int)
  case centroidCount(found: Int, allowed: ClosedRange<Int>)
  case nonFiniteCentroid(index: Int)
  case temperature(Double)
  /// The tensor's channels do not divide so.
  case layout(String, shape: [Int])

  package var description: String {
    switch self {
    case .emptyTensor: "clustering: the tensor has no weights"
    case .nonFiniteWeights(let count, let index):
      "clustering: \(count) weights are not finite in half precision, the first at index \(index)"
    case .unsupportedBits(let bits):
      "clustering: \(bits) bits; expected 1, 2, 3, 4, 6 or 8"
    case .centroidCount(let found, let allowed):
      "clustering: \(found) centroids; expected \(allowed.lowerBound) to \(allowed.upperBound)"
    case .nonFiniteCentroid(let index): "clustering: centroid \(index) is not finite"
    case .temperature(let value):
      "clustering: temperature \(value); expected a finite number above 0"
    case .layout(let what, let shape):
      "clustering: \(what) do not fit a tensor of \(shape): expected a divisor of its channels"
    }
  }
}
