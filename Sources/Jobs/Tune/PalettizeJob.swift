internal import Clustering
internal import CoreMLExport
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
  private let clustering: ClusteringRecipe
  private let export: ExportRecipe

  package init(model: ModelSource, clustering: ClusteringRecipe, export: ExportRecipe) {
    self.model = model
    self.clustering = clustering
    self.export = export
  }

  /// - Parameter tokens: of a prompt; the text encoder's longest if nil.
  /// - Returns: average bits a weight.
  package func callAsFunction(output: String, tokens: Int?, warn: (String) -> Void) throws -> Double {
    model.warnings.forEach(warn)
    let (unet, store) = try model.component(.unet).unet()
    clustering.warnings(store, of: model.path).forEach(warn)
    let weights = try HardWeights(postTraining: store, clustering)
    let exporter = UNetExporter(
      unet.configuration, options: export.options, batch: export.batch, height: unet.configuration.sampleHeight,
      width: unet.configuration.sampleWidth, tokens: try tokens ?? model.tokenCount(),
      timeIdentifiers: unet.configuration.timeIdentifierCount(pooled: model.pooledFeatures) ?? 6)
    var metadata = Metadata()
    metadata.shortDescription = "Stable Diffusion UNet with optimal post-training palettes"
    metadata.author = "sdtune"
    metadata.userDefined["sdtune.prediction_type"] = try model.prediction()
    try exporter.write(weights, to: output, metadata: metadata)
    return weights.bitsPerWeight
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
