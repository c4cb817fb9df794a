package import Kernels

/// The distinct values of a weight tensor, rounded, and how often each occurs.
///
/// A tensor of a million weights has about 20,000 distinct values in half precision, and all that clustering computes
/// about a weight depends on its value alone, so this is what the algorithms work on.
package struct WeightHistogram: Sendable {
  /// How weights are scaled by a power of two before they are rounded to half precision. Tiny
  /// weights would otherwise fall on the coarse grid of subnormal numbers.
  package enum Prescale: Sendable, Equatable {
    case none
    /// By enough to bring a standard deviation below 2⁻¹⁰ near 2⁻⁵.
    case automatic
    case exponent(Int)
  }

  /// Distinct values, ascending. `[rows]`
  package let values: [Double]
  /// Weights with each value; any positive masses in a direct histogram. `[rows]`
  package let masses: [Double]
  /// For passes over all weights; `nil` for a direct histogram.
  package let rows: Rows?

  /// What the histogram of weights can be made from again, in 6 bytes for each row instead of 16 more.
  package struct Rows: Sendable {
    let weights: WeightKeys
    let keys: [UInt16]
    let counts: [UInt32]

    /// For each row.
    package static let bytes = 6

    /// Nil if there are weights whose key is no number.
    fileprivate init?(_ weights: WeightKeys) {
      (keys, counts) = weights.occupied()
      // Keys ascend, and those that are no numbers lie at the ends.
      guard let first = keys.first, let last = keys.last, weights.isNumber(first), weights.isNumber(last) else {
        return nil
      }
      self.weights = weights
    }
  }

  /// About as many rows as so many normal weights of a soft palette have, rather more than fewer: with 16 entries 1,850 of
  /// 4,608, 2,950 of 46,080, 3,870 of 921,600.
  package static func expectedRows(_ weights: Int, entries: Int) -> Int {
    let most = Int(8 * steps(entries: entries))
    return weights * most / (most + weights)
  }

  /// Values and masses as given, with no weights behind them.
  ///
  /// - Precondition: values ascend strictly, masses are positive.
  package init(values: [Double], masses: [Double]) {
    precondition(
      values.count == masses.count && !values.isEmpty,
      "WeightHistogram: \(values.count) values, \(masses.count) masses")
    precondition(
      zip(values, values.dropFirst()).allSatisfy { $0 < $1 } && masses.allSatisfy { $0 > 0 },
      "WeightHistogram: values must ascend and masses be positive")
    self.values = values
    self.masses = masses
    rows = nil
  }

  package init(_ rows: Rows) {
    values = rows.weights.values(rows.keys)
    masses = rows.counts.map(Double.init)
    self.rows = rows
  }

  /// The histogram of the weights in `range` of a buffer.
  package init(
    _ weights: Buffer, range: Range<Int>? = nil, prescale: Prescale = .automatic
  ) throws(ClusteringError) {
    guard !(range?.isEmpty ?? (weights.count == 0)) else { throw .emptyTensor }
    let exponent = if case .exponent(let given) = prescale { given } else { 0 }
    let first = try WeightHistogram(
      WeightKeys(weights, range: range, scale: Self.power(exponent)))
    guard prescale == .automatic, first.variance < 0x1p-20 else {
      self = first
      return
    }
    // Not from the histogram, where weights below 2⁻²⁵ have already become zeros.
    let size = first.passes("prescale").weights.magnitudes()
    let wanted = min(-5 - size.rootMeanSquare.exponentOrZero, 14 - size.largest.exponentOrZero, 100)
    self =
      wanted > 0
      ? try WeightHistogram(WeightKeys(weights, range: range, scale: Self.power(wanted))) : first
  }

  /// Into how many steps of rounding a soft palette of so many entries divides a standard deviation, whatever its
  /// temperature (`docs/decisions/0019`).
  package static func steps(entries: Int) -> Double { max(512, 128 * Double(entries).squareRoot()) }

  /// The histogram of weights rounded to multiples of a power of two, of which a standard deviation has about `steps`.
  ///
  /// Half precision has most of its values where they are far closer together than a palette asks for. With a fifth of the
  /// rows, tables by key stay in a processor's first cache (`docs/decisions/0019`). Weights are rounded to half precision
  /// where that is as coarse, from 2,048 steps on, and if some reach too far for 16 bits.
  package static func even(
    _ weights: Buffer, range: Range<Int>, steps: Double
  ) throws(ClusteringError) -> WeightHistogram {
    // That of the nearest power of two.
    let exponent = (steps / deviationOfSample(weights, range) * 2.0.squareRoot()).exponent
    if steps < 2048, (-120...120).contains(exponent),
      let rows = Rows(WeightKeys(weights, range: range, scale: power(exponent), rounding: .integer))
    {
      return WeightHistogram(rows)
    }
    return try WeightHistogram(weights, range: range)
  }

  /// The standard deviation of up to 4,096 weights, sixteen beside each other.
  private static func deviationOfSample(_ weights: Buffer, _ range: Range<Int>) -> Double {
    let stride = max(16, range.count / 256)
    var (sum, squares, count) = (0.0, 0.0, 0.0)
    for first in Swift.stride(from: range.lowerBound, to: range.upperBound, by: stride) {
      for index in first..<min(first + 16, range.upperBound) {
        let weight = Double(weights[index])
        sum += weight
        squares += weight * weight
        count += 1
      }
    }
    let mean = sum / count
    return max(0, squares / count - mean * mean).squareRoot()
  }

  private static func power(_ exponent: Int) -> Float {
    Float(sign: .plus, exponent: exponent, significand: 1)
  }

  private init(_ weights: WeightKeys) throws(ClusteringError) {
    guard let rows = Rows(weights) else { throw Self.nonFiniteWeights(weights) }
    self.init(rows)
  }

  private static func nonFiniteWeights(_ weights: WeightKeys) -> ClusteringError {
    let invalid = weights.range.filter { !HalfPrecision.round(weights.weights[$0] * weights.scale).isFinite }
    return .nonFiniteWeights(count: invalid.count, firstIndex: invalid[0])
  }

  /// The power of two that weights were multiplied with before rounding.
  package var scale: Float { rows?.weights.scale ?? 1 }

  /// The sum of the masses, the mean and the population variance; a pass over the rows.
  package var moments: (total: Double, mean: Double, variance: Double) { WeightKeys.moments(values, masses) }

  package var total: Double { moments.total }

  /// In squared units of the weights.
  package var variance: Double { moments.variance }

  // MARK: Passes over all weights

  private func passes(_ name: StaticString) -> Rows {
    guard let rows else {
      preconditionFailure("\(name): a direct histogram has no weights behind it")
    }
    return rows
  }

  /// Writes each weight's entry of `table`, a number for each row, at the weight's place in `y`.
  package func gather(_ table: [Double], into y: Buffer) {
    let rows = passes("gather")
    rows.weights.gather(table, keys: rows.keys, into: y)
  }

  /// The same for all weights of a buffer, wherever they are used.
  package func elements(_ table: [Double]) -> WeightElements {
    let rows = passes("elements")
    return rows.weights.elements(table, keys: rows.keys)
  }

  /// Each weight's byte, in the order of the weights.
  package func gather(_ bytes: [UInt8]) -> [UInt8] {
    let rows = passes("gather")
    return rows.weights.gather(bytes, keys: rows.keys)
  }

  /// For each row the sum over its weights: G_u = Σ_{i∈u} dy_i.
  package func scatter(_ dy: Buffer) -> [Double] {
    let rows = passes("scatter")
    return rows.weights.scatter(dy, keys: rows.keys)
  }

  /// dx_i = gain_{u(i)} dy_i + shared_{u(i)}.
  package func affine(gain: [Double], shared: [Double], dy: Buffer) -> KeyedAffine {
    let rows = passes("affine")
    return rows.weights.affine(gain: gain, shared: shared, keys: rows.keys, dy: dy)
  }
}

extension Double {
  /// The binary exponent, 0 for zero.
  fileprivate var exponentOrZero: Int { self > 0 ? Int(exponent) : 0 }
}
