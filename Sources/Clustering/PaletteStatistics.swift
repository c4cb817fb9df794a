internal import Foundation

/// How well centroids stand for a tensor's weights.
package struct PaletteStatistics: Sendable, Equatable {
  /// Summed squared error of nearest centroids, in squared units of the weights.
  package let squaredError: Double
  /// 10 log₁₀(Σw² / squaredError), in dB.
  package let signalToNoise: Double
  /// Centroids that are nearest to some weight.
  package let used: Int
  /// Used centroids that are further than the tolerance from the used one below.
  package let distinct: Int
  /// As many as there could be: 2^bits, or the number of distinct weights.
  package let expected: Int

  /// Whether centroids died or merged.
  package var isCollapsed: Bool { distinct < expected }

  /// - Parameter tolerance: centroids nearer than this many standard deviations of the weights count as one.
  package init(
    _ histogram: WeightHistogram, centroids: [Double], bits: Int, tolerance: Double = 1e-4
  ) {
    let sorted = centroids.sorted()
    let cells = NearestCentroid.assign(histogram.values, to: sorted)
    squaredError = NearestCentroid.squaredError(histogram, sorted, cells: cells)
    let (total, mean, variance) = histogram.moments
    let power = total * (variance + mean * mean)
    signalToNoise = 10 * log10(power / squaredError)
    let inUse = NearestCentroid.used(cells).map { sorted[$0] }
    used = inUse.count
    let gap = tolerance * variance.squareRoot()
    distinct = 1 + zip(inUse, inUse.dropFirst()).count { $1 - $0 > gap }
    expected = min(1 << bits, histogram.values.count)
  }
}
