internal import Foundation
internal import Kernels
package import Recipes

/// One AdamW step over all that is trained: gradients clipped by their global norm, arrays shared out over threads.
package struct OptimizerStep: Sendable {
  package struct Target: Sendable {
    let gradient: ParameterGradient
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

  /// Most elements that are stepped together; one larger target is stepped alone. Arrays kept in a file are in memory
  /// meanwhile.
  private static let together = 16 << 20

  /// Steps every target in place; there are no others.
  ///
  /// - Returns: the global L2 norm of the gradients before clipping.
  package func callAsFunction(_ targets: [Target]) -> Double { self(targets, PaletteTime()) { $0 } }

  /// Steps every target in place.
  ///
  /// - Parameters:
  ///   - time: what palettes take to make gradients that are not there yet is added.
  ///   - sum: of the squares of these gradients and of those that others step.
  /// - Returns: the global L2 norm of the gradients before clipping.
  func callAsFunction(
    _ targets: [Target], _ time: PaletteTime, sum: (Double) throws -> Double
  ) rethrows -> Double {
    guard limit > 0 else { return try sum(stepped(targets, scale: 1, time)).squareRoot() }
    let squares = targets.reduce(0.0) { $0 + Elementwise.sumOfSquares($1.gradient.elements) }
    let norm = try sum(squares).squareRoot()
    // What is not finite must not reach weights and moments.
    guard norm.isFinite else { return norm }
    _ = stepped(targets, scale: norm > limit ? Float(limit / (norm + 1e-6)) : 1, time)
    return norm
  }

  /// - Returns: the sum of the gradients' squares.
  private func stepped(_ targets: [Target], scale: Float, _ time: PaletteTime) -> Double {
    var squares = 0.0
    var first = 0
    while first < targets.count {
      var (last, count) = (first, 0)
      repeat {
        count += targets[last].parameter.count
        last += 1
      } while last < targets.count && count + targets[last].parameter.count <= Self.together
      squares += steppedTogether(targets[first..<last], scale, time)
      first = last
    }
    return squares
  }

  /// Part by part, whichever thread is free.
  private func steppedTogether(_ targets: ArraySlice<Target>, _ scale: Float, _ time: PaletteTime) -> Double {
    let parts = targets.flatMap { target in
      (0..<target.parameter.count).cut(length: FusedOptimizer.partLength).map { (target: target, range: $0) }
    }
    let reports = Parallel.map(parts.count) { index in
      let (target, range) = parts[index]
      let options = optimizer.options(learningRate: rate, step: step, gradientScale: scale, seed: target.seed)
      return FusedOptimizer.adamW(
        target.parameter, target.moments.values, gradient: target.gradient, options, part: range)
    }
    for target in targets {
      target.parameter.letGo()
      target.moments.values.letGo()
    }
    time.add(reports.reduce(.zero) { $0 + $1.gradientTime } / min(Parallel.threads, max(1, parts.count)))
    return reports.reduce(0) { $0 + $1.sumOfSquares }
  }
}
