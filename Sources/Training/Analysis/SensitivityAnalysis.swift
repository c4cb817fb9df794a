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
    /// Bits in a file, tables included.
    package let storedBits: Int
    /// Mean squared distance of the output to that of full precision.
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
  package struct Options: Sendable, Equatable {
    package var bits: [Int]
    package var groupSizes: [Int]
    /// Batches of the recipe's batch size.
    package var batches: Int

    package init(bits: [Int], groupSizes: [Int], batches: Int) {
      self.bits = bits
      self.groupSizes = groupSizes
      self.batches = batches
    }
  }

  private let recipe: Recipe
  private let inputs: RunInputs
  private let batches: [TrainingBatch]
  private let references: [Tensors.Tensor]
  package let peak: Double

  package init(_ recipe: Recipe, _ inputs: RunInputs, batches count: Int) throws {
    self.recipe = recipe
    self.inputs = inputs
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
  ///   - progress: told after each tensor how many are done, and of how many.
  package func callAsFunction(
    _ options: Options, progress: (Int, Int) -> Void, isInterrupted: () -> Bool
  ) throws -> [Tensor] {
    let store = inputs.weights
    let names = store.names.filter {
      recipe.clustering.palette(of: $0, shape: store.shape(of: $0)?.axes ?? []) != nil
    }
    var tensors: [Tensor] = []
    for name in names {
      if isInterrupted() { throw TrainingError.stopped(what: "the analysis, which starts anew next time") }
      tensors.append(try tensor(name, options))
      progress(tensors.count, names.count)
    }
    return tensors
  }

  private func tensor(_ name: String, _ options: Options) throws -> Tensor {
    guard let shape = inputs.weights.shape(of: name), let weights = inputs.weights.buffer(name) else {
      preconditionFailure("weight \(name) without elements")
    }
    var candidates: [Candidate] = []
    for groupSize in options.groupSizes {
      for bits in options.bits {
        let clustering = recipe.clustering.with(bits: bits, groupSize: groupSize, for: name)
        guard let palette = WeightPalette(clustering, name, shape: shape.axes) else { continue }
        // Channels that do not divide into groups have one palette, which may have been tried already.
        let isKnown = candidates.contains { $0.bits == bits && $0.groupSize == palette.form.groupSize ?? 0 }
        guard !isKnown else { continue }
        candidates.append(try candidate(name, palette, clustering, weights, shape))
      }
    }
    return Tensor(name: name, elements: shape.count, candidates: candidates)
  }

  private func candidate(
    _ name: String, _ palette: WeightPalette, _ clustering: ClusteringRecipe, _ weights: Buffer, _ shape: Shape
  ) throws -> Candidate {
    let kept = palette.pruned(weights)
    let elements = PaletteElements(kept, palette.form, palette.layout, scale: palette.startingScale(kept))
    let decoded = try elements.palettized(elements.optimalTable()).decoded()
    let store = inputs.weights.replacing(name, with: decoded)
    let unet = try UNet(store, inputs.unet.configuration)
    var difference = 0.0
    var count = 0
    for (batch, reference) in zip(batches, references) {
      difference += Elementwise.sumOfSquaredDifferences(
        Self.answer(unet, batch, inputs).buffer, reference.buffer)
      count += reference.shape.count
    }
    let error = difference / Double(count)
    return Candidate(
      bits: palette.form.bits, groupSize: palette.form.groupSize ?? 0,
      storedBits: clustering.storedBits(of: name, shape: shape.axes), error: error,
      psnr: psnr(ofError: error))
  }

  package func psnr(ofError error: Double) -> Double { Decibels.ratio(peak * peak, toError: error) }
}
