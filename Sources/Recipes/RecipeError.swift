/// What can be wrong with a recipe; each one line that names the key.
package enum RecipeError: Error, Equatable, CustomStringConvertible {
  case cannotRead(file: String, reason: String)
  case notJSON(file: String, line: Int, column: Int, expected: String)
  case unknownKey(file: String, path: String, nearest: String?)
  /// - Parameter similar: an unknown key beside it that was perhaps meant to be it.
  case missingKey(file: String, path: String, similar: String?)
  case wrongValue(file: String, path: String, expected: String, found: String)
  /// A value of the right type that makes no sense.
  case invalid(path: String, expected: String, found: String)
  /// A `--set` that cannot be understood.
  case assignment(String, expected: String)

  package var description: String {
    switch self {
    case .cannotRead(let file, let reason): "\(file): cannot be read: \(reason)"
    case .notJSON(let file, let line, let column, let expected):
      "\(file): line \(line), column \(column): expected \(expected)"
    case .unknownKey(let file, let path, let nearest):
      "\(file): \(path): unknown key" + (nearest.map { "; did you mean \($0)?" } ?? "")
    case .missingKey(let file, let path, let similar):
      "\(file): \(path): missing" + (similar.map { "; is \($0) meant to be it?" } ?? "")
    case .wrongValue(let file, let path, let expected, let found):
      "\(file): \(path): expected \(expected), found \(found)"
    case .invalid(let path, let expected, let found):
      "\(path): expected \(expected), found \(found)"
    case .assignment(let text, let expected): "--set \(text): expected \(expected)"
    }
  }
}
