import Kernels
import Testing

/// AdamW with moments in few bits follows AdamW with moments in 32.
@Suite struct OptimizerTests {
  private let count = 3000

  private func run(_ moments: FusedOptimizer.Moments, steps: Int) -> [Float] {
    let parameter = numbers(count)
    for step in 1...steps {
      // Gradients of very different sizes from block to block, as layers have them.
      let gradient = Buffer(
        numbers(count, seed: step + 7).elements.enumerated().map { $1 * ($0 % 512 < 256 ? 1 : 1e-4) + 1e-5 })
      FusedOptimizer.adamW(
        parameter, moments, gradient: gradient,
        .init(
          learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, step: step, seed: 5))
    }
    return parameter.elements
  }

  private var single: FusedOptimizer.Moments { .single(mean: Buffer(count: count), variance: Buffer(count: count)) }
  private var brainFloat: FusedOptimizer.Moments {
    .brainFloat(mean: PackedBytes(zeros: 2 * count), variance: PackedBytes(zeros: 2 * count))
  }
  private var bytes: FusedOptimizer.Moments {
    let blocks = FusedOptimizer.Moments.blocks(count)
    return .bytes(
      mean: PackedBytes(zeros: count), variance: PackedBytes(zeros: count), meanScales: Buffer(count: blocks),
      varianceScales: Buffer(count: blocks))
  }

  /// Root mean square distance of two results, in learning rates: what one step moves at most.
  private func distance(_ a: [Float], _ b: [Float]) -> Double {
    (zip(a, b).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) } / Double(a.count)).squareRoot() / 1e-3
  }

  /// 100 steps move a weight by up to 100 rates; rounding at random moves it by a small part of what the gradients'
  /// own noise does.
  @Test func fewBitsFollow() {
    let start = numbers(count).elements
    let reference = run(single, steps: 100)
    let moved = distance(reference, start)
    #expect(moved > 3)
    #expect(distance(run(brainFloat, steps: 100), reference) < 0.05 * moved)
    #expect(distance(run(bytes, steps: 100), reference) < 0.25 * moved)
  }

  @Test func sameBitsAgain() {
    #expect(run(bytes, steps: 3) == run(bytes, steps: 3))
    #expect(run(brainFloat, steps: 3) == run(brainFloat, steps: 3))
  }

  /// What a palette makes of a gradient, chunk by chunk while the weights that it looks at are stepped, is what it makes
  /// of it beforehand; in whatever order parts are stepped.
  @Test func gradientsMadeOnTheWayStepAlike() {
    let count = 2 * FusedOptimizer.partLength + 1000
    let start = numbers(count, seed: 1)
    let dy = numbers(count, seed: 2)
    func stepped(isKeyed: Bool) -> (parameter: [Float], squares: Double) {
      let parameter = Buffer(start.elements)
      let keys = WeightKeys(parameter)
      let occupied = keys.occupied().keys
      let affine = keys.affine(
        gain: occupied.map { Double($0 % 7) - 3 }, shared: occupied.map { Double($0 % 5) * 0.1 }, keys: occupied, dy: dy
      )
      let gradient = isKeyed ? ParameterGradient.keyed(affine) : .elements(affine.elements)
      let moments = FusedOptimizer.Moments.brainFloat(
        mean: PackedBytes(zeros: 2 * count), variance: PackedBytes(zeros: 2 * count))
      let parts = (0..<count).cut(length: FusedOptimizer.partLength)
      let reports = (isKeyed ? Array(parts.reversed()) : parts).map { part in
        FusedOptimizer.adamW(
          parameter, moments, gradient: gradient,
          .init(learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, step: 1, seed: 5),
          part: part)
      }
      return (parameter.elements, reports.reduce(0) { $0 + $1.sumOfSquares })
    }
    let (onTheWay, beforehand) = (stepped(isKeyed: true), stepped(isKeyed: false))
    #expect(onTheWay.parameter == beforehand.parameter)
    #expect(onTheWay.parameter != start.elements)
    #expect(abs(onTheWay.squares - beforehand.squares) < 1e-6 * beforehand.squares)
  }

  /// Changes far below the last bit of a bfloat16 add up: with β₂ = 0.999 the variance of a constant gradient
  /// reaches its limit, and the steps their full size.
  @Test func smallChangesAddUp() {
    for moments in [brainFloat, bytes] {
      let parameter = Buffer(repeating: 0, count: count)
      let gradient = Buffer(repeating: 0.5, count: count)
      for step in 1...2000 {
        FusedOptimizer.adamW(
          parameter, moments, gradient: gradient,
          .init(learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, step: step))
      }
      // Every step is one learning rate against the gradient.
      let mean = parameter.elements.reduce(0, +) / Float(count)
      #expect(abs(mean + 2) < 0.02, "\(mean)")
    }
  }
}
