package import Foundation
internal import StrictJSON

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
      let keys = sides[0].split(separator: ".", omittingEmptySubsequences: false)
      guard sides.count == 2, keys.allSatisfy({ !$0.isEmpty }) else {
        throw .assignment(assignment, expected: "key.path=value")
      }
      let text = String(sides[1])
      let value = (try? StrictJSON.parse(Array(text.utf8))) ?? .string(text)
      let path = try document.path(keys.map { String($0) }, for: assignment)
      document = document.replacing(path[...], with: value)
    }
    return document.encoded()
  }
}

extension StrictJSON {
  /// What the keys of an assignment mean in this document.
  fileprivate func path(
    _ keys: [String], for assignment: String
  ) throws(RecipeError) -> [KeyPathName.Part] {
    var place: StrictJSON? = self
    var path: [KeyPathName.Part] = []
    for key in keys {
      switch place {
      case .object(_)?, .null?, nil:
        path.append(.key(key))
        place = place?[key]
      case .array(let elements)?:
        guard let index = Int(key), elements.indices.contains(index) else {
          throw .assignment(
            assignment, expected: "the number of one of \(elements.count) elements, not '\(key)'")
        }
        path.append(.index(index))
        place = elements[index]
      case let other?:
        throw .assignment(
          assignment, expected: "an object to hold '\(key)', not \(other.inWords)")
      }
    }
    return path
  }

  /// The document with another value at a path, whose objects are made where they are missing.
  ///
  /// - Precondition: what is there agrees with the path.
  func replacing(_ path: ArraySlice<KeyPathName.Part>, with value: StrictJSON) -> StrictJSON {
    switch (self, path.first) {
    case (_, nil): return value
    case (.array(var elements), .index(let index)):
      elements[index] = elements[index].replacing(path.dropFirst(), with: value)
      return .array(elements)
    case (_, .key(let key)):
      var members: [Member] = []
      if case .object(let existing) = self { members = existing }
      let index = members.firstIndex { $0.key == key }
      let before = index.map { members[$0].value } ?? .null
      let member = Member(key: key, value: before.replacing(path.dropFirst(), with: value))
      if let index { members[index] = member } else { members.append(member) }
      return .object(members)
    case (_, .index(let index)): preconditionFailure("no element \(index) in \(inWords)")
    }
  }
}
