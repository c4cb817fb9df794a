package import Foundation
package import Recipes

/// A recipe as a user names it: a file, with values replaced.
package enum RecipeFile {
  /// - Parameter assignments: `key.path=value` of `--set`.
  package static func read<Document: RecipeDocument>(
    _ path: String, settings assignments: [String]
  ) throws -> Document {
    guard FileManager.default.fileExists(atPath: path) else {
      throw RecipeError.cannotRead(file: path, reason: "no such file")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw RecipeError.cannotRead(file: path, reason: "not a file that may be read")
    }
    let json = try StrictDecoding.setting(assignments, in: data, file: path)
    let recipe = try StrictDecoding.decode(Document.self, from: json, file: path)
    try recipe.validate()
    return recipe
  }

  /// A recipe of nothing but defaults, with values replaced.
  ///
  /// - Parameter choosesTarget: whether palettes that only iOS 18 holds make that the target.
  package static func standard(
    name: String, model: String, data: String, steps: Int, settings assignments: [String], choosesTarget: Bool = false
  ) throws -> Recipe {
    let words = try ["name": name, "model": model, "data": data].mapValues {
      String(decoding: try JSONEncoder().encode($0), as: UTF8.self)
    }
    let json = """
      {"name": \(words["name"] ?? ""), "model": \(words["model"] ?? ""), "data": \(words["data"] ?? ""),
       "clustering": {"bits": 4}, "training": {"steps": \(steps)}, "export": {}}
      """
    let file = "the default recipe"
    var recipe = try StrictDecoding.decode(
      Recipe.self, from: try StrictDecoding.setting(assignments, in: Data(json.utf8), file: file), file: file)
    if choosesTarget, !assignments.contains(where: { $0.hasPrefix("export.target=") }) { recipe.raiseTarget() }
    try recipe.validate()
    return recipe
  }

  /// What a recipe's paths are relative to.
  package static func folder(of path: String) -> URL {
    URL(filePath: path).deletingLastPathComponent()
  }
}
