internal import Foundation

/// Ratios of powers in dB.
package enum Decibels {
  /// What stands for the ratio to no error at all, whose logarithm JSON cannot hold; less than none is as far below 0.
  package static let noError = 999.0

  /// `10 log₁₀(signal / error)`; of squares, summed or averaged alike.
  package static func ratio(_ signal: Double, toError error: Double) -> Double {
    error > 0 ? max(-noError, 10 * log10(signal / error)) : noError
  }
}
