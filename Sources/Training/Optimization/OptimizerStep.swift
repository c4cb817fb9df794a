internal import Foundation
internal import Kernels
package import Recipes

/// One AdamW step over all that is trained: gradients clipped by their global norm, arrays shared out over threads.
package struct OptimizerStep: Sendable {
  package struct Target: Sendable {
    let gradient: Buffer
    let parameter: Buffer
    let moments: AdamW.Moments
    /// Another one for every parameter, the same in every step.
    var seed: UInt32 = 0
  }

  private let optimizer: AdamW
  private let limit: Double
  private let rate: Float
  private let step: Int

  /// - Parameter step: counts from 1.
  package init(_ training: TrainingRecipe, rate: Double, step: Int) {
    optimizer = AdamW(
      beta1: Float(training.beta1), beta2: Float(training.beta2), epsilon: Float(training.epsilon),
      weightDecay: Float(training.weightDecay))
    limit = training.gradientNorm
    self.rate = Float(rate)
    self.step = step
  }

  /// Whether targets may be stepped in several portions, since nothing is asked of all gradients together.
  var allowsPortions: Bool { limit == 0 }

  /// Steps every target in place; there are no others.
  ///
  /// - Returns: the global L2 norm of the gradients before clipping.
  package func callAsFunction(_ targets: [Target]) -> Double { self(targets) { $0 } }

  /// Steps every target in place.
  ///
  /// - Parameter sum: of the squares of these gradients and of those that others step.
  /// - Returns: the global L2 norm of the gradients before clipping.
  func callAsFunction(_ targets: [Target], sum: (Double) throws -> Double) rethrows -> Double {
    let norm = try sum(targets.reduce(0.0) { $0 + Elementwise.sumOfSquares($1.gradient) }).squareRoot()
    let scale = limit > 0 && norm > limit ? Float(limit / (norm + 1e-6)) : 1
    Parallel.forEach(targets.count) { index in
      let target = targets[index]
      optimizer.update(
        target.parameter, target.moments, gradient: target.gradient, learningRate: rate, step: step,
        gradientScale: scale, seed: target.seed)
      target.parameter.letGo()
      target.moments.values.letGo()
    }
    return norm
  }
}
