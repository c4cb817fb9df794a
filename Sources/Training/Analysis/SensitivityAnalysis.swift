internal import Clustering
internal import Kernels
internal import Layers
package import Recipes
internal import StableDiffusion
internal import Tensors

/// How much the UNet's output moves when one tensor alone is palettized.
///
/// Every tensor is tried with every palette, on pictures, prompts and timesteps of their own strata: not on one
/// denoising step, as Apple's `mixed_bit_compression_pre_analysis` does, after which recipes fail at other timesteps.
package struct SensitivityAnalysis: Sendable {
  /// One palette of one tensor.
  package struct Candidate: Sendable, Codable, Equatable {
    package let bits: Int
    /// Channels that share a palette; 0 for one palette.
    package let groupSize: Int
    /// Weights of consecutive channels that one index stands for.
    package let vector: Int
    /// Bits in a file, tables included.
    package let storedBits: Int
    /// Mean squared distance of the output to that of full precision; of guided answers where the recipe distils them
    /// (`training.guidance`).
    package let error: Double
    /// 10 log₁₀(peak² / error) in dB, the peak being full precision's.
    package let psnr: Double
  }

  package struct Tensor: Sendable, Codable, Equatable {
    package let name: String
    package let elements: Int
    package let candidates: [Candidate]
  }

  /// What is tried.
  package struct Options: Sendable, Codable, Equatable {
    package var bits: [Int]
    package var groupSizes: [Int]
    /// Lengths of vectors; groups are tried with single weights alone.
    package var vectors: [Int]
    /// Batches of the recipe's batch size.
    package var batches: Int

    package init(bits: [Int], groupSizes: [Int], vectors: [Int] = [1], batches: Int) {
      self.bits = bits
      self.groupSizes = groupSizes
      self.vectors = vectors
      self.batches = batches
    }
  }

  private let recipe: Recipe
  private let inputs: RunInputs
  private let batches: [TrainingBatch]
  private let references: [Tensors.Tensor]
  package let peak: Double
  /// Where the recipe's palettes are calibrated, those that are tried are so, too.
  private let calibration: Calibration?

  package init(_ recipe: Recipe, _ inputs: RunInputs, batches count: Int) throws {
    self.recipe = recipe
    self.inputs = inputs
    calibration = recipe.clustering.start == .calibrated ? Calibration(recipe, inputs) : nil
    batches = try (0..<count).map { try inputs.batches.batch(of: $0) }
    references = batches.map { Self.answer(inputs.unet, $0, inputs) }
    peak = references.reduce(0) { peak, answer in
      answer.elements.reduce(peak) { max($0, Double(abs($1))) }
    }
  }

  private static func answer(_ unet: UNet, _ batch: TrainingBatch, _ inputs: RunInputs) -> Tensors.Tensor {
    Execution.withoutGradients {
      unet.outputs(batch, inputs.trainingStates[batch.prompts]).prediction
    }
  }

  /// - Parameters:
  ///   - known: tensors that need not be measured again.
  ///   - measured: told of each tensor that was.
  ///   - progress: told after each tensor how many are done, and of how many.
  package func callAsFunction(
    _ options: Options, known: [Tensor] = [], measured: (Tensor) throws -> Void = { _ in },
    progress: (Int, Int) -> Void, isInterrupted: () -> Bool
  ) throws -> [Tensor] {
    let store = inputs.weights
    let all = store.names.filter {
      recipe.clustering.palette(of: $0, shape: store.shape(of: $0)?.axes ?? []) != nil
    }
    let left = Set(all).subtracting(known.map(\.name)).sorted()
    var tensors = known
    func measure(_ names: [String], _ factors: [String: KroneckerFactors]) throws {
      for name in names {
        if isInterrupted() { throw TrainingError.stopped(what: "the analysis") }
        tensors.append(try tensor(name, options, factors[name]))
        try measured(tensors[tensors.count - 1])
        progress(tensors.count, all.count)
      }
    }
    if let calibration {
      try calibration.measured(left, isInterrupted: isInterrupted) { names, factors in try measure(names, factors) }
    } else {
      try measure(left, [:])
    }
    return tensors.sorted { $0.name < $1.name }
  }

  private func tensor(_ name: String, _ options: Options, _ factors: KroneckerFactors?) throws -> Tensor {
    guard let shape = inputs.weights.shape(of: name), let weights = inputs.weights.buffer(name) else {
      preconditionFailure("weight \(name) without elements")
    }
    var tried: [(clustering: ClusteringRecipe, palette: WeightPalette)] = []
    let kinds = options.vectors.flatMap { vector in
      options.groupSizes.filter { vector == 1 || $0 == 0 }.map { (vector: vector, groupSize: $0) }
    }
    for kind in kinds {
      for bits in options.bits {
        let clustering = recipe.clustering.assigning([(name, bits, kind.groupSize, kind.vector)])
        guard let palette = WeightPalette(clustering, name, shape: shape.axes) else { continue }
        // Channels that do not divide into groups or vectors have one palette, which may have been tried already; and no
        // palette has more entries than there are vectors.
        guard !tried.contains(where: { $0.palette == palette }), palette.layout.vector << bits <= shape.count / 4 else {
          continue
        }
        tried.append((clustering, palette))
      }
    }
    // A small network leaves cores idle; a large one needs the memory.
    let together = batches[0].noisy.shape[1] * batches[0].noisy.shape[2] <= 32 * 32
    let measured = tried.indices.cut(length: together ? max(1, tried.count) : 1).flatMap { part in
      Parallel.map(part.count) { [tried] index in
        let (clustering, palette) = tried[part.lowerBound + index]
        return Result { try candidate(name, palette, clustering, weights, shape, factors) }
      }
    }
    return Tensor(name: name, elements: shape.count, candidates: try measured.map { try $0.get() })
  }

  private func candidate(
    _ name: String, _ palette: WeightPalette, _ clustering: ClusteringRecipe, _ weights: Buffer, _ shape: Shape,
    _ factors: KroneckerFactors?
  ) throws -> Candidate {
    let decoded = try palettized(name, palette, weights, factors).decoded()
    let store = inputs.weights.replacing(name, with: decoded)
    let unet = try UNet(store, inputs.unet.configuration)
    let errors = zip(batches, references).map { batch, reference in
      batch.meanSquaredError(Self.answer(unet, batch, inputs), reference)
    }
    let error = errors.reduce(0, +) / Double(errors.count)
    return Candidate(
      bits: palette.form.bits, groupSize: palette.form.groupSize ?? 0, vector: palette.layout.vector,
      storedBits: clustering.storedBits(of: name, shape: shape.axes), error: error,
      psnr: psnr(ofError: error))
  }

  /// Rounds of calibration: further ones improve all candidates alike.
  private static let rounds = 3

  private func palettized(
    _ name: String, _ palette: WeightPalette, _ weights: Buffer, _ factors: KroneckerFactors?
  ) throws -> PalettizedTensor {
    if let calibration, let factors, palette.layout.vector == 1 {
      return try calibration.rounded(name, palette, factors, rounds: Self.rounds)
    }
    let kept = palette.pruned(weights)
    let elements = PaletteElements(kept, palette.form, palette.layout, scale: palette.startingScale(kept))
    return try elements.palettized(elements.optimalTable())
  }

  package func psnr(ofError error: Double) -> Double { Decibels.ratio(peak * peak, toError: error) }
}
