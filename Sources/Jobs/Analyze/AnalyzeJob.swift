internal import Clustering
package import Foundation
internal import Kernels
internal import Layers
package import Recipes
internal import Tensors
package import Training

/// Measures every tensor's sensitivity and writes the mixed-bit recipe that a budget allows.
package struct AnalyzeJob: Sendable {
  /// What the assignment must keep to.
  package enum Budget: Sendable, Equatable {
    /// Of the palettized weights, tables included.
    case averageBits(Double)
    /// Of all weights of the UNet, in units of 10⁶ bytes.
    case megabytes(Double)
    /// Of the output, in dB, as the sum of the tensors' own errors predicts it.
    case psnr(Double)
  }

  package struct Result: Codable, Sendable {
    /// Of full precision's output.
    package let peak: Double
    package let tensors: [SensitivityAnalysis.Tensor]
    /// By weight.
    package let chosen: [String: SensitivityAnalysis.Candidate]
    /// Of the palettized weights, tables included.
    package let averageBits: Double
    /// Of all weights, in bytes.
    package let weightBytes: Int
    /// In dB, if errors of single tensors add up.
    package let predictedPSNR: Double
    package let recipe: Recipe
  }

  private let recipe: Recipe
  private let folder: URL
  private let options: SensitivityAnalysis.Options
  private let measurements: String?

  /// - Parameters:
  ///   - folder: what the recipe's paths are relative to.
  ///   - measurements: a file that what was measured is kept in, and taken from.
  package init(
    _ recipe: Recipe, folder: URL, options: SensitivityAnalysis.Options, measurements: String? = nil
  ) {
    self.measurements = measurements
    self.recipe = recipe
    self.folder = folder
    self.options = options
  }

  package func callAsFunction(
    _ budget: Budget, progress: (Int, Int, Double) -> Void, isInterrupted: () -> Bool
  ) throws -> Result {
    let inputs = try RunInputs(recipe, folder: folder)
    let analysis = try SensitivityAnalysis(recipe, inputs, batches: options.batches)
    let tensors = try measured(analysis, progress: progress, isInterrupted: isInterrupted)
    let names = Set(tensors.map(\.name))
    let fixed = inputs.weights.names.filter { !names.contains($0) }.reduce(0) {
      $0 + (inputs.weights.shape(of: $1)?.count ?? 0) * 16
    }
    return try solve(tensors, budget, otherBits: fixed, analysis)
  }

  private func measured(
    _ analysis: SensitivityAnalysis, progress: (Int, Int, Double) -> Void, isInterrupted: () -> Bool
  ) throws -> [SensitivityAnalysis.Tensor] {
    var kept = SensitivityMeasurements(recipe, options, peak: analysis.peak)
    if let measurements { kept = try .read(measurements, expecting: kept) }
    let (started, known) = (ContinuousClock.now, kept.tensors)
    return try analysis(
      options, known: known,
      measured: { tensor in if let measurements { try kept.add(tensor, to: measurements) } },
      progress: { done, total in
        let seconds = (ContinuousClock.now - started).seconds
        progress(done, total, seconds / Double(done - known.count) * Double(total - done))
      }, isInterrupted: isInterrupted)
  }

  private func solve(
    _ tensors: [SensitivityAnalysis.Tensor], _ budget: Budget, otherBits: Int, _ analysis: SensitivityAnalysis
  ) throws -> Result {
    let choices = tensors.map { tensor in
      tensor.candidates.map { BitAllocation.Choice(size: $0.storedBits, error: $0.error) }
    }
    guard !tensors.isEmpty, choices.allSatisfy({ !$0.isEmpty }) else {
      throw JobError.unusable(
        file: recipe.model, expected: "weights to palettize with the given bits and groups", found: "none")
    }
    let elements = tensors.reduce(0) { $0 + $1.elements }
    let most = choices.reduce(0) { $0 + ($1.map(\.size).max() ?? 0) }
    let least = choices.reduce(0) { $0 + ($1.map(\.size).min() ?? 0) }
    let limit: Int
    let chosen: [Int]?
    switch budget {
    case .averageBits(let bits):
      limit = Int(bits * Double(elements))
      chosen = limit >= least ? BitAllocation(choices, budget: limit).best(within: limit) : nil
    case .megabytes(let megabytes):
      limit = Int(megabytes * 8e6) - otherBits
      chosen = limit >= least ? BitAllocation(choices, budget: limit).best(within: limit) : nil
    case .psnr(let psnr):
      limit = most + choices.count * (most / 50_000 + 1)
      chosen = BitAllocation(choices, budget: limit)
        .smallest(withError: analysis.peak * analysis.peak / pow(10, psnr / 10))
    }
    guard let chosen else {
      throw JobError.budget(
        leastBits: Double(least) / Double(elements), leastMegabytes: Double(least + otherBits) / 8e6,
        bestPSNR: analysis.psnr(ofError: choices.reduce(0) { $0 + ($1.map(\.error).min() ?? 0) }))
    }
    let assignment = Dictionary(
      uniqueKeysWithValues: zip(tensors, chosen).map { ($0.name, $0.candidates[$1]) })
    let size = assignment.values.reduce(0) { $0 + $1.storedBits }
    var mixed = recipe
    mixed.clustering = recipe.clustering.assigning(
      tensors.map { tensor in
        let chosen = assignment[tensor.name]
        return (tensor.name, chosen?.bits ?? 16, chosen?.groupSize ?? 0, chosen?.vector)
      })
    return Result(
      peak: analysis.peak, tensors: tensors, chosen: assignment, averageBits: Double(size) / Double(elements),
      weightBytes: (size + otherBits + 7) / 8,
      predictedPSNR: analysis.psnr(ofError: assignment.values.reduce(0) { $0 + $1.error }), recipe: mixed)
  }
}

extension AnalyzeJob.Result {
  /// As Apple's tools keep recipes.
  package var apple: AppleMixedBitRecipe {
    AppleMixedBitRecipe(
      model: recipe.model, tensors: tensors, assignment: chosen.mapValues(\.bits), averageBits: averageBits,
      psnr: predictedPSNR)
  }

  /// The figures in words.
  package var text: String {
    let widths = Dictionary(grouping: chosen.values) { SIMD2($0.bits, $0.vector) }.mapValues(\.count)
    let counts = widths.sorted { ($0.key.y, $0.key.x) < ($1.key.y, $1.key.x) }.map { kind, count in
      "\(count) tensors at \(kind.x) bits" + (kind.y > 1 ? " for \(kind.y) weights" : "")
    }
    return String(
      format: "%@\n%.3f bits a palettized weight, %.2f MB of weights, predicted PSNR %.1f dB",
      counts.joined(separator: ", ") as NSString, averageBits, Double(weightBytes) / 1e6, predictedPSNR)
  }
}
