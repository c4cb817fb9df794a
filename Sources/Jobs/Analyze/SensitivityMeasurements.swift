internal import Files
internal import Foundation
package import Recipes
internal import StrictJSON
package import Training

/// What an analysis has measured so far, in a file: it goes on after an interruption, and serves any budget.
struct SensitivityMeasurements: Codable, Equatable {
  /// Of the file's layout.
  private static let version = 1

  private var version = Self.version
  /// What was measured with, without name, paths and steps.
  let recipe: Recipe
  let options: SensitivityAnalysis.Options
  /// Of full precision's answers. Another model, or other pictures, have another one.
  let peak: Double
  private(set) var tensors: [SensitivityAnalysis.Tensor]

  init(_ recipe: Recipe, _ options: SensitivityAnalysis.Options, peak: Double) {
    self.recipe = Self.comparable(recipe)
    self.options = options
    self.peak = peak
    tensors = []
  }

  /// What must be the same: all but names, paths and steps.
  private static func comparable(_ recipe: Recipe) -> Recipe {
    var recipe = recipe
    recipe.name = ""
    (recipe.model, recipe.data) = ("", "")
    (recipe.training.steps, recipe.training.checkpointEvery) = (1, 1)
    return recipe
  }

  mutating func add(_ tensor: SensitivityAnalysis.Tensor, to path: String) throws {
    tensors.append(tensor)
    try AtomicFile(path: path).write(JSONEncoder.ofResults.encode(self))
  }

  /// Those of a file, if there is one.
  ///
  /// - Throws: ``JobError`` if they were measured with something else.
  static func read(_ path: String, expecting new: SensitivityMeasurements) throws -> SensitivityMeasurements {
    guard FileManager.default.fileExists(atPath: path) else {
      try OutputPlace.check(path)
      return new
    }
    _ = try StrictJSON.read(path)
    let found: SensitivityMeasurements
    do {
      found = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(filePath: path)))
      guard found.version == Self.version else { throw JobError.unusable(file: path, expected: "", found: "") }
    } catch {
      throw JobError.unusable(file: path, expected: "measurements of this sdtune's analyze", found: "other JSON")
    }
    let difference =
      found.recipe != new.recipe
      ? found.recipe.difference(from: new.recipe)
      : found.options != new.options
        ? "other bits, groups, vectors or batches"
        : found.peak != new.peak
          ? "another model or other pictures" : nil
    if let difference {
      throw JobError.unusable(file: path, expected: "measurements of this model with these options", found: difference)
    }
    return found
  }
}
