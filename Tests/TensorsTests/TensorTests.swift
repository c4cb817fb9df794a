import Kernels
import Synchronization
import Tensors
import Testing

/// What the parity tables cannot show: determinism, gradients that several uses add up, long chains.
@Suite struct TensorTests {
  private func normals(_ shape: Shape, seed: UInt64) -> Tensor {
    var generator = CounterGenerator(seed: seed, stream: 0, step: 0)
    return Tensor(shape, generator.normals(shape.count))
  }

  /// Convolution, group norm and attention of a size that every thread takes part in.
  private func loss(_ x: Tensor, _ weight: Tensor) -> Tensor {
    let ones = Tensor(repeating: 1, shape: [32])
    let h = Convolution2D(stride: 1, padding: .init(1))(x, weight)
    let normalized = GroupNorm(groups: 8, epsilon: 1e-5, silu: true)(h, ones, ones)
    let tokens = normalized.reshaped([4, 256, 32])
    let attended = Attention(heads: 4, features: 8)(tokens, tokens, tokens)
    return attended.meanSquaredError(to: Tensor(repeating: 0.5, shape: [4, 256, 32]))
  }

  @Test func runTwiceGivesTheSameBits() {
    let x = normals([4, 16, 16, 32], seed: 1)
    let weight = normals([32, 32, 3, 3], seed: 2)
    let first = loss(x.leaf(named: "x"), weight.leaf(named: "w")).gradients()
    let second = loss(x.leaf(named: "x"), weight.leaf(named: "w")).gradients()
    for name in ["x", "w"] {
      #expect(first[name]?.elements == second[name]?.elements)
      #expect(first[name]?.count ?? 0 > 0)
    }
  }

  /// Central differences of the whole chain in 32-bit floats: a step of 1e-2 leaves about three digits.
  @Test func gradientsMatchFiniteDifferences() {
    let x = normals([4, 16, 16, 32], seed: 3)
    let weight = normals([32, 32, 3, 3], seed: 4)
    let gradient = loss(x, weight.leaf(named: "w")).gradients()["w"]!.elements
    var direction = normals([32, 32, 3, 3], seed: 5).elements
    let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
    direction = direction.map { $0 / length }
    func moved(_ step: Float) -> Tensor {
      Tensor(weight.shape, zip(weight.elements, direction).map { $0 + step * $1 })
    }
    let difference = (loss(x, moved(0.05)).scalar - loss(x, moved(-0.05)).scalar) / 0.1
    let product = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(abs(difference - product) < 2e-2 * abs(product) + 1e-5, "\(difference) \(product)")
  }

  @Test func severalUsesAddUp() {
    let x = Tensor([2], [3, 4]).leaf(named: "x")
    let y = (x * x + x).meanSquaredError(to: Tensor([2], [0, 0]))
    // d/dx mean((x² + x)²) = (x² + x)(2 x + 1)
    #expect(y.gradients()["x"]?.elements == [12 * 7, 20 * 9])
  }

  /// Two pairs of one element: e = s (x − y) + (1 − s) (x' − y'), loss = Σ w e² / 2.
  @Test func guidedDifferences() {
    let answers = Tensor([4, 1], [1, 2, 0, 5]).leaf(named: "x")
    let loss = answers.guidedSquaredError(
      to: Tensor([4, 1], [0, 0, 1, 1]), scales: [3, 1], weights: [2, 0.5])
    // e = 3 · 1 − 2 · (−1) = 5 and 1 · 2 + 0 · 4 = 2: (2 · 25 + ½ · 4) / 2.
    #expect(loss.scalar == 26)
    // 2 w e s / 2, and 2 w e (1 − s) / 2.
    #expect(loss.gradients()["x"]?.elements == [30, 1, -20, 0])
  }

  /// A weight that is made for every use: forward and for the gradient, which runs a recomputed block once more.
  @Test(arguments: [false, true]) func madeWeightsAreNotKept(recomputed isRecomputed: Bool) {
    let (x, weight) = (normals([5, 8], seed: 6), normals([3, 8], seed: 7))
    let seed = normals([5, 3], seed: 8)
    let given = Linear()(x.leaf(named: "x"), weight.leaf(named: "w")).gradients(seed: seed)
    let uses = Mutex(0)
    let node = Node(leaf: "w", shape: weight.shape)
    let input = x.leaf(named: "x")
    let block: @Sendable () -> Tensor = {
      let made = Tensor(
        making: {
          uses.withLock { $0 += 1 }
          return WeightElements(Buffer(weight.elements))
        }, leaf: node)
      return Linear()(input, made)
    }
    let gradients = Execution.recomputing(isRecomputed) {
      let y = recomputed(block)
      #expect(uses.withLock { $0 } == 1)
      return y.gradients(seed: seed)
    }
    #expect(uses.withLock { $0 } == (isRecomputed ? 3 : 2))
    for name in ["x", "w"] {
      #expect(gradients[name]?.elements == given[name]?.elements)
      #expect(gradients[name]?.count ?? 0 > 0)
    }
  }

  @Test func longChainsNeitherOverflowNorLeak() {
    var x = Tensor([1], [1]).leaf(named: "x")
    for _ in 0..<50_000 { x = x + Tensor([1], [0]) }
    #expect(x.gradients()["x"]?.elements == [1])
    var dropped = Tensor([1], [1]).leaf(named: "x")
    for _ in 0..<50_000 { dropped = dropped + Tensor([1], [0]) }
    #expect(dropped.scalar == 1)
  }

  @Test func randomNumbersAreEvenAndIndependentOfSteps() {
    var generator = CounterGenerator(seed: 9, stream: 0, step: 3)
    var counts = [Int](repeating: 0, count: 10)
    for _ in 0..<10_000 { counts[generator.integer(below: 10)] += 1 }
    // Five standard deviations of a binomial of 10,000 and 1/10.
    #expect(counts.allSatisfy { abs($0 - 1000) < 150 }, "\(counts)")
    var other = CounterGenerator(seed: 9, stream: 0, step: 4)
    var again = CounterGenerator(seed: 9, stream: 0, step: 3)
    #expect(other.normals(4) != again.normals(4))
  }

  @Test func mismatchedShapesTrap() async {
    await #expect(processExitsWith: .failure) {
      _ = Linear()(Tensor([1, 3], [1, 2, 3]), Tensor([1, 2], [1, 2]))
    }
  }

  /// Both only move numbers, so that everything is exact; a token's gradient is a sum of three.
  @Test func tokensBeforeAndFirstTokens() {
    let x = normals([3, 4, 5], seed: 6)
    let token = normals([5], seed: 7)
    let y = PrependedToken()(x, token)
    #expect(y.shape == [3, 5, 5])
    let firsts = FirstToken()(y).elements
    let expected = [token.elements, token.elements, token.elements].flatMap { $0 }
    #expect(firsts == expected)
    let seed = normals([3, 5, 5], seed: 8)
    let gradients = PrependedToken()(x.leaf(named: "x"), token.leaf(named: "token")).gradients(seed: seed)
    let rows: [[Float]] = (0..<3).map { Array(seed.elements[$0 * 25..<$0 * 25 + 25]) }
    let dx: [Float] = rows.flatMap { Array($0[5...]) }
    #expect(gradients["x"]?.elements == dx)
    let dtoken: [Float] = (0..<5).map { rows[0][$0] + rows[1][$0] + rows[2][$0] }
    #expect(gradients["token"]?.elements == dtoken)
    let given = normals([3, 5], seed: 9)
    let zeros = [Float](repeating: 0, count: 15)
    let dfirst: [Float] = (0..<3).flatMap { Array(given.elements[$0 * 5..<$0 * 5 + 5]) + zeros }
    #expect(FirstToken()(x.leaf(named: "x")).gradients(seed: given)["x"]?.elements == dfirst)
  }
}
