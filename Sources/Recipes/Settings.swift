package import Foundation

extension StrictDecoding {
  /// The document with values replaced, as `--set training.steps=100` asks.
  ///
  /// A value is read as JSON or, failing that, as a string. Objects on the way are made where they
  /// are missing: whether the keys mean anything is for ``decode(_:from:file:)`` to say.
  ///
  /// - Parameter assignments: texts of the form `key.path=value`; numbers in the path count the
  ///   elements of a list from 0.
  package static func setting(
    _ assignments: [String], in json: Data, file: String = "recipe"
  ) throws(RecipeError) -> Data {
    guard !assignments.isEmpty else { return json }
    var document = try parse(json, file: file)
    for assignment in assignments {
      let sides = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let keys = sides[0].split(separator: ".", omittingEmptySubsequences: false).map { String($0) }
      guard sides.count == 2, keys.allSatisfy({ !$0.isEmpty }) else {
        throw .assignment(assignment, expected: "key.path=value")
      }
      let text = String(sides[1])
      let value = (try? parse(Data(text.utf8), file: file)) ?? .string(text)
      document = try document.replacing(keys[...], with: value, for: assignment)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    do {
      return try encoder.encode(document)
    } catch {
      preconditionFailure("a JSON document does not encode: \(error)")
    }
  }
}

extension JSONValue {
  fileprivate func replacing(
    _ keys: ArraySlice<String>, with value: JSONValue, for assignment: String
  ) throws(RecipeError) -> JSONValue {
    guard let key = keys.first else { return value }
    switch self {
    case .object(var members):
      members[key] = try (members[key] ?? .null).replacing(
        keys.dropFirst(), with: value, for: assignment)
      return .object(members)
    case .null:
      return try JSONValue.object([:]).replacing(keys, with: value, for: assignment)
    case .array(var elements):
      guard let index = Int(key), elements.indices.contains(index) else {
        throw .assignment(
          assignment,
          expected: elements.isEmpty
            ? "no element of an empty list"
            : "0 to \(elements.count - 1) instead of '\(key)'")
      }
      elements[index] = try elements[index].replacing(
        keys.dropFirst(), with: value, for: assignment)
      return .array(elements)
    default:
      throw .assignment(assignment, expected: "an object to hold '\(key)', not \(inWords)")
    }
  }
}
