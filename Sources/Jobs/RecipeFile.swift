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

  /// What a recipe's paths are relative to.
  package static func folder(of path: String) -> URL {
    URL(filePath: path).deletingLastPathComponent()
  }
}
