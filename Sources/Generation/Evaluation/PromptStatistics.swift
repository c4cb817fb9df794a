internal import Tensors

/// What a mean over prompts is worth: had other prompts been drawn, it would have been another.
package struct ConfidenceInterval: Codable, Sendable, Equatable {
  package let low: Double
  package let high: Double

  /// Of the mean of some prompts' figures, with 95 % confidence: percentiles of the bootstrap (Efron 1979) over prompts.
  ///
  /// - Parameter values: one a prompt, a mean over its seeds; at least one.
  package init(ofMean values: [Double]) {
    precondition(!values.isEmpty, "confidence interval: no values")
    var random = CounterGenerator(seed: 0, stream: 0, step: 0)
    let means = (0..<PromptStatistics.draws).map { _ in
      values.indices.reduce(0.0) { sum, _ in sum + values[random.integer(below: values.count)] } / Double(values.count)
    }.sorted()
    low = means[Int(0.025 * Double(means.count))]
    high = means[Int(0.975 * Double(means.count))]
  }
}

/// Two candidates on the same prompts, seeds and first noise.
package struct PairedComparison: Codable, Sendable, Equatable {
  package let first: String
  package let second: String
  /// Mean over prompts of the second's picture PSNR less the first's, in dB.
  package let difference: Double
  package let interval: ConfidenceInterval
  /// The probability of a difference as large, in either direction, if the two did not differ: a test that flips the
  /// signs of the prompts' differences (Fisher 1935).
  package let probability: Double
  /// Whether the two can be told apart by these prompts: ``probability`` is below 0.05.
  package let isSignificant: Bool

  /// - Parameters:
  ///   - values: of each, one a prompt, a mean over its seeds; as many of both.
  package init(_ first: (name: String, values: [Double]), _ second: (name: String, values: [Double])) {
    precondition(first.values.count == second.values.count, "paired comparison: \(first.name) and \(second.name)")
    let differences = zip(first.values, second.values).map { $1 - $0 }
    self.first = first.name
    self.second = second.name
    difference = PromptStatistics.mean(differences)
    interval = ConfidenceInterval(ofMean: differences)
    probability = PromptStatistics.signFlipProbability(differences)
    isSignificant = probability < 0.05
  }
}

/// Statistics of figures that there is one of for every prompt.
package enum PromptStatistics {
  /// Resamples of a bootstrap, and flips where there are too many to try all.
  static let draws = 10_000

  static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

  /// The share of all choices of signs whose mean is as far from zero.
  package static func signFlipProbability(_ differences: [Double]) -> Double {
    let observed = abs(differences.reduce(0, +))
    // Sums of the same numbers in another order differ by their last bits.
    let limit = observed - 1e-9 * differences.reduce(0) { $0 + abs($1) }
    if differences.count < Int.bitWidth - 1, 1 << differences.count <= draws {
      let count = 1 << differences.count
      let extreme = (0..<count).count { signs in
        abs(differences.indices.reduce(0.0) { $0 + (signs >> $1 & 1 == 0 ? 1 : -1) * differences[$1] }) >= limit
      }
      return Double(extreme) / Double(count)
    }
    var random = CounterGenerator(seed: 0, stream: 1, step: 0)
    let extreme = (0..<draws).count { _ in
      abs(differences.reduce(0.0) { $0 + (random.next() & 1 == 0 ? 1 : -1) * $1 }) >= limit
    }
    return Double(extreme + 1) / Double(draws + 1)
  }
}
