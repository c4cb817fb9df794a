internal import Files
package import Foundation
package import Recipes

/// The recipe that an analysis starts from, and where the one that it writes goes.
package struct AnalyzeRecipe: Sendable {
  package var recipe: Recipe
  /// What the recipe's paths are relative to.
  package let folder: URL
  private let output: String
  /// Whether nobody said what weights get that the bits do not name.
  private let leavesOthers: Bool

  /// - Parameters:
  ///   - data: the model folder's `latents.h5` if nil.
  ///   - recipe: a file; our defaults if nil.
  package init(
    model: String, data: String?, recipe: String?, settings: [String], output: String
  ) throws {
    self.output = output
    leavesOthers = recipe == nil && !settings.contains { $0.hasPrefix("clustering.bits=") }
    let target = URL(filePath: output)
    guard target.pathExtension == "json" else {
      throw JobError.unusable(file: output, expected: "a name that ends in .json", found: "another")
    }
    try OutputPlace.check(output)
    folder = target.deletingLastPathComponent()
    let name = target.deletingPathExtension().lastPathComponent
    var base: Recipe
    if let recipe {
      base = try RecipeFile.read(recipe, settings: settings)
    } else {
      base = try RecipeFile.standard(
        name: name, model: model, data: data ?? model + "/latents.h5", steps: 800, settings: settings)
    }
    base.name = name
    base.model = Self.relative(model, to: folder)
    base.data = Self.relative(data ?? model + "/latents.h5", to: folder)
    try base.validate()
    self.recipe = base
  }

  /// A path as seen from a folder, so that the recipe can be moved together with what it names.
  private static func relative(_ path: String, to folder: URL) -> String {
    let from = folder.standardizedFileURL.pathComponents
    let to = URL(filePath: path).standardizedFileURL.pathComponents
    let common = zip(from, to).prefix { $0 == $1 }.count
    // Nothing in common but the root: the absolute path says more.
    guard common > 1 else { return URL(filePath: path).standardizedFileURL.path }
    return ([String](repeating: "..", count: from.count - common) + to[common...]).joined(separator: "/")
  }

  /// Widths that the target's palettes can have.
  package var supportedBits: [Int] { recipe.export.target.paletteBits }

  /// The recipe with bits by weight name; other weights stay in half precision, as Apple's tools leave them, if nothing
  /// else was said.
  package func assigning(_ bits: [String: Int]) throws -> Recipe {
    var mixed = recipe
    if leavesOthers { mixed.clustering.bits = 16 }
    mixed.clustering = mixed.clustering.assigning(
      bits.sorted { $0.key < $1.key }.map { ($0.key, $0.value, recipe.clustering.groupSize, nil) })
    try mixed.validate()
    return mixed
  }

  package func write(_ recipe: Recipe) throws {
    var recipe = recipe
    // Groups may have been chosen that the base recipe's target does not know.
    recipe.raiseTarget()
    try AtomicFile(path: output).write(recipe.encoded())
  }
}
