internal import Foundation
package import Kernels

/// A tensor whose elements are indices into a table of half-precision numbers.
package struct PalettizedTensor: Sendable, Equatable {
  /// Axes of the tensor, outermost first.
  package let shape: [Int]
  package let bits: Int
  /// binary16 codes: the values in use ascend strictly, zeros fill up to 2^bits. `[2^bits]`
  package let table: [UInt16]
  /// How many entries of the table are values, not filling.
  package let entries: Int
  /// One for each element, row-major.
  package let indices: [UInt8]

  /// Refits centroids to the weights, rounds them to half precision and assigns every weight to the
  /// nearest rounded one.
  ///
  /// - Parameters:
  ///   - rounds: of Lloyd's iteration on the final weights.
  ///   - masses: see ``NearestCentroid/refit(_:_:masses:rounds:)``.
  package init(
    _ histogram: WeightHistogram, shape: [Int], centroids: [Double], bits: Int, rounds: Int = 5,
    masses: [Double]? = nil
  ) throws(ClusteringError) {
    guard ClusteringOptions.supportedBits.contains(bits) else { throw .unsupportedBits(bits) }
    guard (1...1 << bits).contains(centroids.count) else {
      throw .centroidCount(found: centroids.count, allowed: 1...1 << bits)
    }
    let fitted = NearestCentroid.refit(histogram, centroids, masses: masses, rounds: rounds)
    let rounded = Set(fitted.map { Double(HalfPrecision.round(Float($0))) })
    let candidates = rounded.sorted()
    // Rounding may leave an entry with no weight to serve.
    let used = Set(NearestCentroid.assign(histogram.values, to: candidates)).sorted()
    let values = used.map { candidates[$0] }
    let codes = values.map { HalfPrecision.encode(Float($0)) }
    let rows = NearestCentroid.assign(histogram.values, to: values).map { UInt8($0) }
    self.init(
      shape: shape, bits: bits,
      table: codes + [UInt16](repeating: 0, count: 1 << bits - codes.count), entries: codes.count,
      indices: histogram.gather(rows))
  }

  package init(shape: [Int], bits: Int, table: [UInt16], entries: Int, indices: [UInt8]) {
    precondition(
      indices.count == shape.reduce(1, *),
      "PalettizedTensor: \(indices.count) indices for shape \(shape)")
    precondition(
      table.count == 1 << bits && entries <= table.count,
      "PalettizedTensor: \(table.count) entries of \(bits) bits")
    self.shape = shape
    self.bits = bits
    self.table = table
    self.entries = entries
    self.indices = indices
  }

  /// The values in use.
  package var values: [Float] { table.prefix(entries).map { HalfPrecision.decode($0) } }

  /// The tensor's elements, exactly as the table has them.
  package func decoded() -> Buffer {
    let values = table.map { HalfPrecision.decode($0) }
    return Buffer(count: indices.count) { elements in
      for index in indices.indices { elements[index] = values[Int(indices[index])] }
    }
  }

  /// The share of elements whose index differs.
  package static func flipRate(_ a: [UInt8], _ b: [UInt8]) -> Double {
    precondition(a.count == b.count && !a.isEmpty, "flipRate: \(a.count) and \(b.count) indices")
    var flips = 0
    for index in a.indices where a[index] != b[index] { flips += 1 }
    return Double(flips) / Double(a.count)
  }
}

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
    let power = histogram.total * (histogram.variance + histogram.mean * histogram.mean)
    signalToNoise = 10 * log10(power / squaredError)
    let inUse = Set(cells).sorted().map { sorted[$0] }
    used = inUse.count
    let gap = tolerance * histogram.variance.squareRoot()
    distinct = 1 + zip(inUse, inUse.dropFirst()).count { $1 - $0 > gap }
    expected = min(1 << bits, histogram.values.count)
  }
}
