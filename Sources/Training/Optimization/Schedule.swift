internal import Foundation
package import Recipes

/// Learning-rate curves over the share of the run that is done, 0 to 1.
package enum Schedule {
  /// Half a cosine from 1 to `floor`.
  package static func cosine(_ done: Double, floor: Double) -> Double {
    floor + (1 - floor) * 0.5 * (1 + cos(.pi * min(1, max(0, done))))
  }

  /// A linear warm-up, then ``cosine(_:floor:)`` over all `steps`.
  package static func warmCosine(_ training: TrainingRecipe, step: Int, steps: Int) -> Double {
    let warm = min(1, Double(step + 1) / Double(max(1, training.warmupSteps)))
    return warm * cosine(Double(step) / Double(max(1, steps)), floor: training.finalShare)
  }
}
