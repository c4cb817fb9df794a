internal import Checkpoints
internal import Clustering
internal import CoreMLExport
internal import Foundation
internal import Layers
internal import MIL
internal import Recipes
internal import StableDiffusion
internal import Training

/// A checkpoint's weights as a package, or as a diffusers folder with the palettized values written out.
package struct ExportJob: Sendable {
  package enum Format: String, Sendable, CaseIterable { case mlpackage, diffusers }

  private let checkpoint: String
  private let modelFolder: String?

  /// - Parameter modelFolder: the model the run started from, if the recipe's path does not lead there from here.
  package init(checkpoint: String, modelFolder: String?) {
    self.checkpoint = checkpoint
    self.modelFolder = modelFolder
  }

  package func callAsFunction(format: Format, output: String) throws {
    let contents = try RunCheckpoint.read(checkpoint)
    let hard = try contents.hard ?? HardWeights(contents.state, contents.recipe.clustering)
    switch format {
    case .mlpackage:
      let inputs = try RunInputs(recipe(contents.recipe), folder: folder)
      try PackageExport(contents.recipe, inputs).write(hard, to: output)
    case .diffusers:
      let model = recipe(contents.recipe).path(contents.recipe.model, in: folder)
      try writeFolder(hard, configuration: (modelFolder ?? model) + "/unet", output)
    }
  }

  /// Recipes lie in `recipes/` of the project; their paths are relative to there.
  private var folder: URL { URL(filePath: "recipes/") }

  private func recipe(_ recipe: Recipe) -> Recipe {
    guard let modelFolder else { return recipe }
    var moved = recipe
    moved.model = URL(filePath: modelFolder).path
    return moved
  }

  private func writeFolder(
    _ hard: HardWeights, configuration: String, _ output: String
  ) throws {
    _ = try UNetConfiguration(folder: configuration)
    let files = FileManager.default
    try files.createDirectory(atPath: output, withIntermediateDirectories: true)
    let json = try Data(contentsOf: URL(filePath: configuration + "/config.json"))
    try json.write(to: URL(filePath: output + "/config.json"), options: .atomic)
    let tensors = hard.names.compactMap { name in
      hard.weights[name].map { (name, hard.shapes[name] ?? [], $0.decoded) }
    }
    try SafetensorsWriter.write(
      tensors: tensors, metadata: ["format": "pt"],
      to: output + "/diffusion_pytorch_model.safetensors")
  }
}
