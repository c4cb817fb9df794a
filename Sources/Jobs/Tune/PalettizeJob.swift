internal import Clustering
internal import CoreMLExport
internal import Layers
internal import MIL
package import Recipes
internal import StableDiffusion
internal import Tensors
internal import Training

/// Optimal post-training palettes of a UNet, without any training.
package struct PalettizeJob: Sendable {
  private let model: String
  private let clustering: ClusteringRecipe
  private let export: ExportRecipe

  package init(model: String, clustering: ClusteringRecipe, export: ExportRecipe) {
    self.model = model
    self.clustering = clustering
    self.export = export
  }

  /// - Parameter tokens: of a prompt; the text encoder's longest if nil.
  /// - Returns: average bits a weight.
  package func callAsFunction(output: String, tokens: Int?, warn: (String) -> Void) throws -> Double {
    let (unet, store) = try DiffusersFolder.unet(model + "/unet")
    clustering.warnings(store, of: model).forEach(warn)
    let longest = try TextEncoderConfiguration(folder: model + "/text_encoder").positions
    let weights = try HardWeights(postTraining: store, clustering)
    let size = unet.configuration.sampleSize
    let exporter = UNetExporter(
      unet.configuration, options: export.options, batch: export.batch, height: size, width: size,
      tokens: tokens ?? longest)
    var metadata = Metadata()
    metadata.shortDescription = "Stable Diffusion UNet with optimal post-training palettes"
    metadata.author = "sdtune"
    if let schedule = try? NoiseSchedule(folder: model + "/scheduler") {
      metadata.userDefined["sdtune.prediction_type"] = schedule.prediction.rawValue
    }
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
