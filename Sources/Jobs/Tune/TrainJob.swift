internal import Files
package import Foundation
internal import Kernels
internal import Layers
internal import Models
package import Recipes
internal import StableDiffusion
internal import Tensors
package import Training
internal import WeightFiles

/// `sdtune train`: a UNet and its text encoder from scratch, as a diffusers folder.
package struct TrainJob: Sendable {
  private let recipe: PretrainingRecipe
  private let recipeFolder: URL
  private let folder: RunFolder

  /// - Parameters:
  ///   - recipeFolder: what the recipe's paths are relative to.
  ///   - output: the folder to write, `checkpoints/<name>` if nil.
  package init(_ recipe: PretrainingRecipe, recipeFolder: URL, output: String?) {
    self.recipe = recipe
    self.recipeFolder = recipeFolder
    folder = RunFolder(output ?? "checkpoints/\(recipe.name)")
  }

  /// `metrics.json`: what the model reaches, and how it came about.
  package struct Metrics: Codable, Sendable {
    package struct Split: Codable, Sendable {
      package let pictures: Int
      package let epsilonMSE: Double
      package let epsilonMSEByTimestep: [Double]
    }

    package let recipe: PretrainingRecipe
    package let parameters: Int
    package let validation: Split
    package let folder: String
  }

  package func callAsFunction(
    resume: Bool, control: RunControl, stage: (String) -> Void,
    progress: (PretrainingRun.Progress) -> Void
  ) throws -> Metrics {
    let claim = !resume || folder.hasCheckpoint ? try folder.claim() : nil
    defer { withExtendedLifetime(claim) {} }
    let inputs = try PretrainingInputs(recipe, folder: recipeFolder)
    let model = try ModelSource.folder(inputs.model.path)
    guard ModelSource.isFolder(model) else {
      throw JobError.unusable(
        file: model, expected: "a diffusers folder, whose other parts the trained model gets", found: "a single file")
    }
    if !resume, let line = try folder.setAside() { stage(line) }
    stage("training to \(folder.checkpoint)")
    let state = try PretrainingRun(recipe, inputs, in: folder)(
      resume: resume, control: control, progress: progress)
    stage("writing the model to \(folder.path)")
    let weights = ParameterStore(state.averages, origin: folder.path)
    try write(weights, from: model)
    stage("evaluating")
    let metrics = try metrics(weights, inputs)
    try AtomicFile(path: folder.path + "/metrics.json").write(JSONEncoder.ofResults.encode(metrics))
    return metrics
  }

  /// The averaged weights, and copies of what was not trained.
  private func write(_ weights: ParameterStore, from model: String) throws {
    let files = FileManager.default
    for (component, file) in [
      ("unet", "diffusion_pytorch_model.safetensors"), ("text_encoder", "model.safetensors"),
    ] {
      let target = "\(folder.path)/\(component)"
      try files.createDirectory(atPath: target, withIntermediateDirectories: true)
      try replace("\(component)/config.json", from: model)
      let tensors = weights.names.filter { $0.hasPrefix("text_model.") == (component == "text_encoder") }
        .compactMap { name in
          weights.buffer(name).map { (name, weights.shape(of: name)?.axes ?? [], $0) }
        }
      try SafetensorsWriter.write(tensors: tensors, metadata: ["format": "pt"], to: "\(target)/\(file)")
    }
    for component in ["vae", "tokenizer", "scheduler", "model_index.json"]
    where files.fileExists(atPath: "\(model)/\(component)") {
      try replace(component, from: model)
    }
  }

  private func replace(_ item: String, from model: String) throws {
    try FileCopy.replace("\(folder.path)/\(item)", with: "\(model)/\(item)")
  }

  private func metrics(_ weights: ParameterStore, _ inputs: PretrainingInputs) throws -> Metrics {
    let unet = try UNet(weights, inputs.unet)
    let states = TextStates(
      [try TextEncoder(weights, inputs.textEncoder)], inputs.validation.captions, for: inputs.unet)
    let evaluation = try DenoisingEvaluation(
      inputs.validation, states, inputs.schedule, timesteps: recipe.evaluation.timesteps,
      limit: recipe.evaluation.pictures)
    let quality = evaluation.quality(
      try evaluation.predictions(unet.denoiser), reference: nil)
    return Metrics(
      recipe: recipe, parameters: weights.names.reduce(0) { $0 + (weights.shape(of: $1)?.count ?? 0) },
      validation: .init(
        pictures: evaluation.pictures, epsilonMSE: quality.epsilonMSE,
        epsilonMSEByTimestep: quality.epsilonMSEByTimestep),
      folder: folder.path)
  }
}
