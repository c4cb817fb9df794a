internal import Checkpoints
internal import Clustering
internal import CoreMLExport
internal import Foundation
internal import Layers
internal import MIL
internal import Models
internal import Recipes
internal import StableDiffusion
internal import StrictJSON
internal import Training
internal import WeightFiles

/// A checkpoint's weights as a package, as a model with the palettized values written out, or as tables and indices.
package struct ExportJob: Sendable {
  package enum Format: String, Sendable, CaseIterable {
    case mlpackage, mlmodelc, diffusers
    case singleFile = "single-file"
    case palettes = "safetensors-palettes"
  }

  private let checkpoint: String
  private let modelFolder, data: String?

  /// - Parameters:
  ///   - modelFolder: the model the run started from, if the recipe's path does not lead there from here.
  ///   - data: the latents of the run, likewise.
  package init(checkpoint: String, modelFolder: String?, data: String?) {
    self.checkpoint = checkpoint
    self.modelFolder = modelFolder
    self.data = data
  }

  package func callAsFunction(format: Format, output: String) throws {
    let contents = try RunCheckpoint.read(checkpoint)
    let hard = try contents.hard ?? HardWeights(contents.state, contents.recipe.clustering)
    var recipe = contents.recipe
    recipe.model = try located(recipe, \.model, modelFolder, "--model")
    let model = try recipe.modelSource(additionsFolder(recipe))
    switch format {
    case .mlpackage:
      try PackageExport(recipe, model, try geometry(contents, &recipe)).write(hard, to: output)
    case .mlmodelc:
      let export = try PackageExport(recipe, model, try geometry(contents, &recipe))
      try Self.compile(to: output) { try export.write(hard, to: $0) }
    case .diffusers: try ModelExport(model: model, hard: hard).writeFolder(output)
    case .singleFile: try ModelExport(model: model, hard: hard).writeSingleFile(output)
    case .palettes: try ModelExport(model: model, hard: hard).writePalettes(output)
    }
  }

  /// Compiles a package that nobody else sees.
  ///
  /// - Parameter write: writes the package to a path.
  private static func compile(to output: String, _ write: (String) throws -> Void) throws {
    let place = URL(filePath: output)
    let name = place.deletingPathExtension().lastPathComponent
    let folder = place.deletingLastPathComponent().appending(
      path: ".\(name).partial-\(ProcessInfo.processInfo.processIdentifier)"
    ).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let package = "\(folder)/\(name).mlpackage"
    try write(package)
    try CompiledModelWriter(ModelPackage(package)).write(to: output)
  }

  /// The checkpoint's, or of one that does not say, the data's.
  private func geometry(_ contents: RunCheckpoint.Contents, _ recipe: inout Recipe) throws -> RunGeometry {
    if let geometry = contents.geometry, data == nil { return geometry }
    recipe.data = try located(recipe, \.data, data, "--data")
    return try RunGeometry(recipe, folder: URL(filePath: "/"))
  }

  /// What the paths of adapters and the like are relative to: where the recipe was, or here.
  private func additionsFolder(_ recipe: Recipe) -> URL {
    let paths =
      recipe.lora.map { ModelAdditions.Adapter($0).path } + recipe.embeddings + [recipe.vae, recipe.modelConfig]
    return Self.recipeFolders.first { folder in
      paths.allSatisfy { $0.isEmpty || FileManager.default.fileExists(atPath: recipe.path($0, in: folder)) }
    } ?? Self.recipeFolders[0]
  }

  private static let recipeFolders = [URL(filePath: "recipes/"), URL(filePath: "./")]

  /// A recipe's paths are relative to where it lies: in `recipes/` of the project or here, if no option says otherwise.
  private func located(
    _ recipe: Recipe, _ path: KeyPath<Recipe, String>, _ given: String?, _ option: String
  ) throws(JobError) -> String {
    if let given { return URL(filePath: given).path }
    let path = recipe[keyPath: path]
    let places = Self.recipeFolders.map { recipe.path(path, in: $0) }
    guard let place = places.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      throw .option(
        name: option, expected: "where '\(path)' of the checkpoint's recipe is", found: "none at \(places[0])")
    }
    return place
  }
}
