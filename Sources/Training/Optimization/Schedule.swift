internal import Foundation

/// Learning-rate curves over the share of the run that is done, 0 to 1.
package enum Schedule {
  /// Half a cosine from 1 to `floor`.
  package static func cosine(_ done: Double, floor: Double) -> Double {
    floor + (1 - floor) * 0.5 * (1 + cos(.pi * min(1, max(0, done))))
  }
}
