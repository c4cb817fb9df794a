package import Clustering
internal import Kernels
internal import Layers
package import Recipes
internal import StableDiffusion
internal import Tensors

/// Palettes without training, chosen by what they do to the network's answers (``SecondOrderRounding``).
package struct Calibration: Sendable {
  package struct Progress: Sendable {
    /// Batches and weights done, of how many.
    package let done: Int
    package let total: Int
  }

  private let recipe: Recipe
  private let inputs: RunInputs
  private let batches: Int
  /// Bytes of factors that are measured at a time.
  private let budget: Int

  /// - Parameter inputs: the full-precision model and the pictures that it is asked about.
  package init(_ recipe: Recipe, _ inputs: RunInputs) {
    self.recipe = recipe
    self.inputs = inputs
    let size = recipe.training.batchSize
    batches = (recipe.clustering.calibrationSamples + size - 1) / size
    budget = MemoryLimit.current.bytes / 4 / Parallel.neighbours
  }

  /// The palettes of some weights of the model.
  ///
  /// - Parameter names: of weights; those that have no palettes, or palettes of vectors, are left out.
  package func callAsFunction(
    _ names: [String], isInterrupted: () -> Bool = { false }, progress: (Progress) -> Void = { _ in }
  ) throws -> [String: PalettizedTensor] {
    let weights = names.compactMap { name in
      inputs.weights.shape(of: name).flatMap { shape in
        WeightPalette(recipe.clustering, name, shape: shape.axes).map { (name: name, palette: $0) }
      }
    }.filter { $0.palette.layout.vector == 1 }
    let palettes = Dictionary(uniqueKeysWithValues: weights.map { ($0.name, $0.palette) })
    let total = parts(weights.map(\.name)).count * batches + weights.count
    var done = 0
    func advance(_ count: Int) {
      done += count
      progress(Progress(done: done, total: total))
    }
    var chosen: [String: PalettizedTensor] = [:]
    try measured(weights.map(\.name), isInterrupted: isInterrupted, ran: { advance(1) }) { part, factors in
      for some in part.indices.cut(length: Parallel.threads) {
        if isInterrupted() { throw Self.stopped }
        let results = Parallel.map(some.count) { index in
          let name = part[some.lowerBound + index]
          return Result {
            guard let palette = palettes[name], let factors = factors[name] else { return nil as PalettizedTensor? }
            return try rounded(name, palette, factors)
          }
        }
        for (index, result) in zip(some, results) { chosen[part[index]] = try result.get() }
        advance(some.count)
      }
    }
    return chosen
  }

  private static let stopped = TrainingError.stopped(what: "the calibration")

  /// Measures the factors of some weights, of as many at a time as memory allows; the largest first, so that those of a
  /// size can be worked on beside each other.
  ///
  /// - Parameters:
  ///   - ran: called after each batch.
  ///   - body: gets the names of a part and their factors.
  func measured(
    _ names: [String], isInterrupted: () -> Bool, ran: () -> Void = {},
    body: ([String], [String: KroneckerFactors]) throws -> Void
  ) throws {
    for part in parts(names) {
      let sums = FactorSums(
        Dictionary(uniqueKeysWithValues: part.map { ($0.name, $0.shape) }),
        pictures: recipe.training.batchSize * (recipe.training.guidance.share > 0 ? 2 : 1))
      for number in 0..<batches {
        if isInterrupted() { throw Self.stopped }
        try measure(number, sums)
        ran()
      }
      try body(part.map(\.name), sums.factors())
    }
  }

  private func parts(_ names: [String]) -> [[(name: String, shape: Shape)]] {
    let weights = names.compactMap { name in inputs.weights.shape(of: name).map { (name: name, shape: $0) } }
      .sorted { a, b in
        let (x, y) = (FactorSums.bytes(a.shape), FactorSums.bytes(b.shape))
        return x == y ? a.name < b.name : x > y
      }
    var parts: [[(name: String, shape: Shape)]] = []
    var size = 0
    for weight in weights {
      let bytes = FactorSums.bytes(weight.shape)
      if parts.isEmpty || size + bytes > budget {
        parts.append([])
        size = 0
      }
      parts[parts.count - 1].append(weight)
      size += bytes
    }
    return parts
  }

  /// Runs a batch there and back. For normal v, E[(Jᵀ v)(Jᵀ v)ᵀ] is the output's metric seen from inside, J being the
  /// Jacobian: the curvature of a squared error, whatever the error.
  private func measure(_ number: Int, _ sums: FactorSums) throws {
    let batch = try inputs.batches.batch(of: number)
    Execution.recomputing(recipe.training.recompute) {
      Execution.observed(by: sums) {
        let answer = inputs.unet.outputs(batch, inputs.trainingStates[batch.prompts]).prediction
        var random = CounterGenerator(seed: recipe.seed, .calibration, step: number)
        answer.gradients(seed: Tensor(answer.shape, batch.cotangents(answer.shape, &random))) { _, _ in }
      }
    }
  }

  /// A weight's palette by its factors.
  ///
  /// - Parameter rounds: at most; see ``SecondOrderRounding``.
  func rounded(
    _ name: String, _ palette: WeightPalette, _ factors: KroneckerFactors, rounds: Int = .max
  ) throws -> PalettizedTensor {
    guard let weights = try inputs.weights.halfPrecisionBuffer(name) else {
      preconditionFailure("weight \(name) without elements")
    }
    let kept = palette.pruned(weights)
    // As they are stored.
    let scale = palette.startingScale(kept).map { HalfPrecision.rounded($0) }
    let elements = PaletteElements(kept, palette.form, palette.layout, scale: scale)
    return try SecondOrderRounding(kept, elements, factors, keepsZeros: palette.prune > 0)(rounds: rounds)
  }
}

extension TrainingBatch {
  /// Normal numbers for the answers; where pictures are asked twice, those of their guided answers, seen from both.
  fileprivate func cotangents(_ shape: Shape, _ random: inout CounterGenerator) -> [Float] {
    guard let guidance else { return random.normals(shape.count) }
    let count = shape.count / shape[0]
    var (prompted, unprompted): ([Float], [Float]) = ([], [])
    for scale in guidance {
      let normals = random.normals(count)
      prompted += normals.map { scale * $0 }
      unprompted += normals.map { (1 - scale) * $0 }
    }
    return prompted + unprompted
  }
}
