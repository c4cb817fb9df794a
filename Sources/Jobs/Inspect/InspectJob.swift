internal import Checkpoints
internal import Clustering
internal import Files
internal import Foundation
internal import Kernels
internal import MIL
internal import MILRuntime
internal import Recipes
internal import Tensors
internal import Training

/// What is in a recipe, checkpoint, package, model or file of weights.
package struct Inspection: Codable, Sendable {
  package let kind: String
  /// Facts in the order to show them.
  package let facts: [Fact]
  /// Of a package: every weight, in the program's order.
  package let weights: [WeightFact]?
  /// Of a package: its features.
  package let inputs: [FeatureFact]?
  package let outputs: [FeatureFact]?

  package struct Fact: Codable, Sendable {
    package let name: String
    package let value: String
  }

  package var text: String {
    let width = facts.map(\.name.count).max() ?? 0
    return
      ([kind]
      + facts.map {
        "  " + $0.name.padding(toLength: width, withPad: " ", startingAt: 0) + "  " + $0.value
      } + (weights ?? []).map(\.line)).joined(separator: "\n")
  }

  /// Reads and checks a file; whatever is wrong with it is thrown.
  package init(of path: String) throws {
    if ModelPackage.isPackage(path) {
      self = try PackageInspection.inspect(path)
      return
    }
    switch URL(filePath: path).pathExtension {
    case "h5", "hdf5":
      if (try? LatentCache.isCache(path)) == true {
        let cache = try LatentCache(path)
        try cache.verify()
        self.init(kind: "latents", facts: cache.facts.map { Fact(name: $0.name, value: $0.value) })
      } else {
        self.init(kind: "checkpoint", facts: try Self.checkpoint(path))
      }
    case "json": self.init(kind: "recipe", facts: try Self.recipe(path))
    default:
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
        throw JobError.notATarget(
          path: path,
          expected: "an .mlpackage, an .mlmodelc, a checkpoint .h5, a model, a file of weights or a recipe .json")
      }
      self = isFolder.boolValue ? try ModelInspection.folder(path) : try ModelInspection.file(path)
    }
  }

  /// Whether a file is sound.
  ///
  /// - Returns: what it is.
  /// - Throws: an error that names the first fault.
  package static func verified(_ path: String) throws -> String {
    if ModelPackage.isPackage(path) { return try PackageInspection.verify(path) }
    let kind = try Inspection(of: path).kind
    if kind == "model" { try ModelInspection.verify(folder: path) }
    return kind
  }

  init(
    kind: String, facts: [Fact], weights: [WeightFact]? = nil, inputs: [FeatureFact]? = nil,
    outputs: [FeatureFact]? = nil
  ) {
    (self.kind, self.facts, self.weights) = (kind, facts, weights)
    (self.inputs, self.outputs) = (inputs, outputs)
  }

  /// Of a tuning run or, without palettes, of training from scratch.
  private static func checkpoint(_ path: String) throws -> [Fact] {
    let contents: RunCheckpoint.Contents
    do {
      contents = try RunCheckpoint.read(path)
    } catch let error as FileError {
      guard case .missing = error, let (recipe, state) = try? PretrainingState.read(path) else { throw error }
      return facts(state.parameters, losses: state.losses, state.step, of: recipe.training.steps, recipe.name)
    }
    let state = contents.state
    let recipe = contents.recipe
    var facts = facts(
      state.parameters, losses: state.losses, state.step, of: recipe.training.steps, recipe.name)
    facts += [
      Fact(name: "phase", value: recipe.phase(at: max(0, state.step - 1)).name),
      Fact(name: "palettized", value: "\(state.centroids.count) tensors"),
    ]
    if let hard = contents.hard {
      facts.append(Fact(name: "finished", value: String(format: "%.4f bits a weight", hard.bitsPerWeight)))
    }
    return facts
  }

  private static func facts(
    _ parameters: NamedArrays, losses: [RunState.StepLoss], _ step: Int, of steps: Int,
    _ recipe: String
  ) -> [Fact] {
    [
      Fact(name: "recipe", value: recipe),
      Fact(name: "step", value: "\(step) of \(steps)"),
      Fact(
        name: "weights",
        value: "\(parameters.values.reduce(0) { $0 + $1.shape.count }) in \(parameters.count) tensors"),
      Fact(name: "last loss", value: losses.last.map { "\($0.loss)" } ?? "none"),
    ]
  }

  /// A recipe for tuning or, without palettes, for training from scratch, with every key.
  private static func resolved(_ path: String) throws -> Data {
    do {
      let recipe: Recipe = try RecipeFile.read(path, settings: [])
      return recipe.encoded()
    } catch RecipeError.missingKey(_, path: "clustering", _) {
      let recipe: PretrainingRecipe = try RecipeFile.read(path, settings: [])
      return recipe.encoded()
    }
  }

  private static func recipe(_ path: String) throws -> [Fact] {
    return String(decoding: try resolved(path), as: UTF8.self).split(separator: "\n")
      .dropFirst().dropLast().map { line in
        let parts = line.split(separator: ":", maxSplits: 1).map {
          $0.trimmingCharacters(in: CharacterSet(charactersIn: " \","))
        }
        return Fact(name: parts.first ?? "", value: parts.count > 1 ? parts[1] : "")
      }
  }
}
