internal import Foundation
internal import Kernels

/// How far values are from their reference.
struct SignalError {
  /// Largest magnitude of a difference.
  let maximum: Double
  /// 20 log₁₀(peak of the reference / root mean square of the differences), in dB.
  let psnr: Double
  /// Apple's figure: the peak is that of the values under test, and both are kept from zero.
  let applePSNR: Double

  /// - Precondition: as many values as reference values.
  init(_ reference: Buffer, _ values: Buffer) {
    precondition(reference.count == values.count, "\(values.count) values for \(reference.count)")
    var (sum, maximum, peak, ownPeak) = (0.0, 0.0, 0.0, 0.0)
    reference.withSpan { x in
      values.withSpan { y in
        for index in 0..<x.count {
          let difference = abs(Double(x[index]) - Double(y[index]))
          sum += difference * difference
          if !maximum.isNaN, !(difference <= maximum) { maximum = difference }
          peak = max(peak, Double(abs(x[index])))
          ownPeak = max(ownPeak, Double(abs(y[index])))
        }
      }
    }
    let deviation = (sum / Double(max(1, reference.count))).squareRoot()
    self.maximum = maximum
    psnr = 20 * log10(peak / deviation)
    applePSNR = 20 * log10((ownPeak + 1e-5) / (deviation + 1e-10))
  }
}
