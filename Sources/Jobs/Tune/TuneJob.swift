internal import Clustering
internal import CoreMLExport
internal import Distribution
internal import Files
package import Foundation
internal import Kernels
internal import Layers
internal import MIL
internal import Models
package import Recipes
internal import StableDiffusion
internal import Tensors
package import Training

/// The main job: fine-tune while palettizing, export, run the package, report.
package struct TuneJob: Sendable {
  package let recipe: Recipe
  /// What the recipe's paths are relative to.
  package let recipeFolder: URL
  package let folder: RunFolder

  package init(_ recipe: Recipe, recipeFolder: URL, output: String?) {
    self.recipe = recipe
    self.recipeFolder = recipeFolder
    folder = RunFolder(output ?? "checkpoints/\(recipe.name)")
  }

  /// What the job is at, for the terminal.
  package enum Event: Sendable {
    case stage(String)
    case warning(String)
    case step(TrainingRun.Progress)
  }

  /// - Returns: nil in processes that only helped, where `mpirun` started several.
  package func callAsFunction(
    resume: Bool, control: RunControl, notify announce: @escaping (Event) -> Void
  ) throws -> Report? {
    let ranks = try Ranks.join()
    func notify(_ event: Event) { if ranks.isFirst { announce(event) } }
    let claim = ranks.isFirst && (!resume || folder.hasCheckpoint) ? try folder.claim() : nil
    defer { withExtendedLifetime(claim) {} }
    try TrainingRun.check(recipe, ranks)
    try DryRun.check(recipe, recipeFolder: recipeFolder, ranks: ranks.count)
    notify(.stage("loading \(recipe.model)"))
    let source = try recipe.modelSource(recipeFolder)
    for line in source.warnings { notify(.warning(line)) }
    let model = try TuningModel(source)
    let preparation = RunPreparation(
      recipe: recipe, recipeFolder: recipeFolder, folder: folder, isInterrupted: control.isInterrupted, notify: notify)
    let inputs = try RunInputs(recipe, model, preparation.data(model, ranks: ranks))
    for line in recipe.clustering.warnings(inputs.weights, of: recipe.model) { notify(.warning(line)) }
    if claim != nil, !resume, let line = try folder.setAside() { notify(.warning(line)) }
    let run = TrainingRun(recipe, inputs, in: folder, ranks: ranks)
    notify(.stage("tuning to \(folder.checkpoint)"))
    var tenths = -1
    let outcome = try run(
      resume: resume, control: control, warn: { notify(.warning($0)) },
      calibrating: { calibration in
        guard 10 * calibration.done / calibration.total > tenths else { return }
        tenths = 10 * calibration.done / calibration.total
        notify(.stage("calibrating palettes to start from: \(10 * tenths) %"))
      }, progress: { notify(.step($0)) })
    // The others wait for the first one here, not for its evaluation.
    ranks.finish()
    guard let outcome else { return nil }
    notify(.stage("exporting \(folder.package)"))
    try PackageExport(recipe, source, inputs.geometry).write(outcome.hard, to: folder.package)
    notify(.stage("evaluating \(folder.package) with the runner"))
    let report = try Evaluator(recipe, inputs, isInterrupted: control.isInterrupted).report(outcome, folder)
    try AtomicFile(path: folder.report).write(report.encoded())
    try AtomicFile(path: folder.page).write(Data(report.page.utf8))
    return report
  }
}

/// A recipe's wishes about the package, as the exporter takes them.
struct PackageExport {
  private let recipe: Recipe
  private let exporter: UNetExporter

  private let prediction: String

  init(_ recipe: Recipe, _ model: ModelSource, _ geometry: RunGeometry) throws {
    self.recipe = recipe
    let unet = try model.unetConfiguration()
    exporter = UNetExporter(
      unet, options: recipe.export.options, batch: recipe.export.batch, height: geometry.height,
      width: geometry.width, tokens: geometry.tokens,
      timeIdentifiers: unet.timeIdentifierCount(pooled: model.pooledFeatures) ?? 6)
    prediction = geometry.prediction
  }

  func write(_ weights: HardWeights, to path: String) throws {
    var metadata = Metadata()
    metadata.shortDescription =
      "Stable Diffusion UNet, fine-tuned with its weights palettized (recipe \(recipe.name))"
    metadata.author = "sdtune"
    metadata.version = recipe.name
    metadata.license = "That of the model it was made from"
    metadata.userDefined = [
      "sdtune.prediction_type": prediction,
      "sdtune.bits_per_weight": String(format: "%.4f", weights.bitsPerWeight),
    ]
    try exporter.write(weights, to: path, metadata: metadata)
  }
}

extension ExportRecipe {
  var options: ExportOptions {
    let target: DeploymentTarget =
      switch target {
      case .iOS16: .iOS16
      case .iOS17: .iOS17
      case .iOS18: .iOS18
      case .iOS26: .iOS26
      }
    let form: ExportOptions.AttentionForm =
      switch attention {
      case .original: .original
      case .splitEinsum: .splitEinsum
      case .splitEinsumV2: .splitEinsumV2
      }
    return ExportOptions(target: target, attention: form)
  }
}
