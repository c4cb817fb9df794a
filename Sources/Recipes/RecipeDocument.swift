package import Foundation

/// A JSON document that says everything about a run; its fully resolved form is stored with the results.
package protocol RecipeDocument: Codable, Sendable, Equatable {
  /// - Throws: for the first value that makes no sense, naming it.
  func validate() throws(RecipeError)
}

extension RecipeDocument {
  /// Indented, keys sorted.
  package func encoded() -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("a \(Self.self) does not encode")
    }
    return data
  }

  /// A path of the recipe, which is relative to the recipe's folder.
  package func path(_ path: String, in folder: URL) -> String {
    URL(filePath: path, relativeTo: folder).standardizedFileURL.path
  }

  /// The first line in which two recipes' JSON differ.
  package func difference(from other: Self) -> String {
    let (mine, theirs) = (lines, other.lines)
    for (a, b) in zip(mine, theirs) where a != b { return "\(a) there, \(b) here" }
    return "\(mine.count) lines there, \(theirs.count) here"
  }

  private var lines: [String] {
    String(decoding: encoded(), as: UTF8.self).split(separator: "\n").map {
      $0.trimmingCharacters(in: .whitespaces)
    }
  }
}
