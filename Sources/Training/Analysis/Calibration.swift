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
    budget = MemoryLimit.current.bytes / 4
  }

  /// The palettes of some weights of the model.
  ///
  /// - Parameter names: of weights; those that have no palettes, or palettes of vectors, are left out.
  package func callAsFunction(
    _ names: [String], isInterrupted: () -> Bool = { false }, progress: (Progress) -> Void = { _ in }
  ) throws -> [String: PalettizedTensor] {
    let parts = parts(names)
    let total = parts.reduce(0) { $0 + batches + $1.count }
    var done = 0
    var palettes: [String: PalettizedTensor] = [:]
    for part in parts {
      let sums = FactorSums(Dictionary(uniqueKeysWithValues: part.map { ($0.name, $0.shape) }))
      for batch in 0..<batches {
        if isInterrupted() { throw TrainingError.stopped(what: "the calibration, which starts anew next time") }
        try measure(batch, sums)
        done += 1
        progress(Progress(done: done, total: total))
      }
      let factors = sums.factors()
      for some in part.indices.cut(length: Parallel.threads) {
        if isInterrupted() { throw TrainingError.stopped(what: "the calibration, which starts anew next time") }
        let chosen = Parallel.map(some.count) { index in
          let weight = part[some.lowerBound + index]
          return Result { try factors[weight.name].map { try rounded(weight.name, weight.palette, $0) } }
        }
        for (index, result) in zip(some, chosen) { palettes[part[index].name] = try result.get() }
        done += some.count
        progress(Progress(done: done, total: total))
      }
    }
    return palettes
  }

  /// What is measured at a time; the largest weights first, so that those of a size are rounded beside each other.
  private func parts(_ names: [String]) -> [[(name: String, shape: Shape, palette: WeightPalette)]] {
    let weights = names.compactMap { name -> (name: String, shape: Shape, palette: WeightPalette)? in
      guard let shape = inputs.weights.shape(of: name),
        let palette = WeightPalette(recipe.clustering, name, shape: shape.axes), palette.layout.vector == 1
      else { return nil }
      return (name, shape, palette)
    }.sorted { a, b in
      let (x, y) = (FactorSums.bytes(a.shape), FactorSums.bytes(b.shape))
      return x == y ? a.name < b.name : x > y
    }
    var parts: [[(name: String, shape: Shape, palette: WeightPalette)]] = []
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

  private func rounded(
    _ name: String, _ palette: WeightPalette, _ factors: KroneckerFactors
  ) throws -> PalettizedTensor {
    guard let weights = try inputs.weights.halfPrecisionBuffer(name) else {
      preconditionFailure("weight \(name) without elements")
    }
    let kept = palette.pruned(weights)
    let elements = PaletteElements(kept, palette.form, palette.layout, scale: palette.startingScale(kept))
    return try SecondOrderRounding(kept, elements, factors, keepsZeros: palette.prune > 0)()
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
