internal import Clustering
internal import CoreMLExport
package import Foundation
internal import Layers
internal import MIL
package import Models
package import Recipes
internal import StableDiffusion
internal import Tensors
internal import Training

/// Optimal post-training palettes of a UNet, without any training.
package struct PalettizeJob: Sendable {
  private let model: ModelSource
  private let recipe: Recipe
  private let folder: URL
  private var clustering: ClusteringRecipe { recipe.clustering }
  private var export: ExportRecipe { recipe.export }

  /// - Parameters:
  ///   - recipe: whose palettes and export are taken, and the data that calibrated palettes are measured on.
  ///   - folder: what the recipe's paths are relative to.
  package init(model: ModelSource, recipe: Recipe, folder: URL) {
    self.model = model
    self.recipe = recipe
    self.folder = folder
  }

  /// - Parameters:
  ///   - tokens: of a prompt; the text encoder's longest if nil.
  ///   - progress: of a calibration; how much is done, of how much, and seconds left.
  /// - Returns: average bits a weight.
  package func callAsFunction(
    output: String, tokens: Int?, warn: (String) -> Void, progress: (Int, Int, Double) -> Void
  ) throws -> Double {
    model.warnings.forEach(warn)
    let (unet, store) = try model.component(.unet).unet()
    clustering.warnings(store, of: model.path).forEach(warn)
    let calibrated = clustering.start == .calibrated ? try calibrated(store, warn, progress) : [:]
    let weights = try HardWeights(postTraining: store, clustering, calibrated: calibrated)
    let exporter = UNetExporter(
      unet.configuration, options: export.options, batch: export.batch, height: unet.configuration.sampleHeight,
      width: unet.configuration.sampleWidth, tokens: try tokens ?? model.tokenCount(),
      timeIdentifiers: unet.configuration.timeIdentifierCount(pooled: model.pooledFeatures) ?? 6)
    var metadata = Metadata()
    metadata.shortDescription =
      "Stable Diffusion UNet with \(clustering.start == .calibrated ? "calibrated" : "optimal") post-training palettes"
    metadata.author = "sdtune"
    metadata.userDefined["sdtune.prediction_type"] = try model.prediction()
    try exporter.write(weights, to: output, metadata: metadata)
    return weights.bitsPerWeight
  }

  private func calibrated(
    _ store: ParameterStore, _ warn: (String) -> Void, _ progress: (Int, Int, Double) -> Void
  ) throws -> [String: PalettizedTensor] {
    let vectors = store.names.filter {
      clustering.palette(of: $0, shape: store.shape(of: $0)?.axes ?? []).map { $0.vector > 1 } ?? false
    }
    if let first = vectors.first {
      warn("palettes of vectors are not calibrated: \(vectors.count) of \(model.path), first '\(first)'")
    }
    let tuned = try TuningModel(model)
    let inputs = try RunInputs(recipe, tuned, RunData(prepared: recipe, model: tuned, folder: folder))
    let started = ContinuousClock.now
    return try Calibration(recipe, inputs)(
      tuned.weights.names,
      progress: { done in
        let seconds = (ContinuousClock.now - started).seconds
        progress(done.done, done.total, seconds / Double(done.done) * Double(done.total - done.done))
      })
  }
}

extension ClusteringRecipe {
  /// Says which patterns of single layers fit none of a model's weights, and which weights do not divide into their
  /// palettes' groups or vectors.
  func warnings(_ weights: ParameterStore, of model: String) -> [String] {
    let unmatched = unmatchedLayers(weights.names)
    let undivided = weights.names.filter { isUndivided($0, shape: weights.shape(of: $0)?.axes ?? []) }
    return [
      unmatched.first.map { "\(unmatched.count) of clustering.layers fit no weight of \(model), first '\($0)'" },
      undivided.first.map {
        "weights that do not divide into groups and vectors get one palette: \(undivided.count) of \(model), first '\($0)'"
      },
    ].compactMap { $0 }
  }
}
