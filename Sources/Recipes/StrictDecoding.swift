package import Foundation
internal import StrictJSON

/// Decodes JSON without letting anything pass in silence: what a document says is used or refused.
package enum StrictDecoding {
  /// Decodes a document whose every key means something to the type.
  ///
  /// The keys of the document are held against those of the decoded value encoded again; so a type
  /// must encode all keys it decodes. A key that is null counts as left out.
  ///
  /// - Parameter file: what error messages call the document.
  package static func decode<T: Codable>(
    _ type: T.Type, from json: Data, file: String
  ) throws(RecipeError) -> T {
    let document = try parse(json, file: file)
    let value: T
    do {
      value = try JSONDecoder().decode(type, from: json)
    } catch let error as RecipeError {
      throw error
    } catch let error as DecodingError {
      throw refusal(error, of: document, file: file) ?? misfit(type, document, file: file)
    } catch {
      throw .wrongValue(
        file: file, path: "the document", expected: "a \(type)", found: "\(error)")
    }
    let known = tree(of: value)
    if let path = unknownKey(in: document, known: known, at: KeyPathName()) {
      throw .unknownKey(
        file: file, path: path.description, nearest: nearest(to: path, in: known))
    }
    return value
  }

  static func parse(_ json: Data, file: String) throws(RecipeError) -> StrictJSON {
    do {
      return try StrictJSON.parse(Array(json))
    } catch {
      throw .notJSON(
        file: file, line: error.line, column: error.column, expected: error.expected)
    }
  }

  private static func tree(of value: some Encodable) -> StrictJSON {
    do {
      return try StrictJSON.parse(Array(try JSONEncoder().encode(value)))
    } catch {
      preconditionFailure("a decoded \(type(of: value)) does not encode: \(error)")
    }
  }

  // MARK: Unknown keys

  private static func unknownKey(
    in document: StrictJSON, known: StrictJSON, at path: KeyPathName
  ) -> KeyPathName? {
    switch (document, known) {
    case (.object(let members), .object(let knownMembers)):
      for member in members where member.value != .null {
        let memberPath = path.appending(.key(member.key))
        guard let knownMember = knownMembers.first(where: { $0.key == member.key }) else {
          return memberPath
        }
        if let unknown = unknownKey(in: member.value, known: knownMember.value, at: memberPath) {
          return unknown
        }
      }
    case (.array(let elements), .array(let knownElements)):
      for (index, pair) in zip(elements, knownElements).enumerated() {
        let elementPath = path.appending(.index(index))
        if let unknown = unknownKey(in: pair.0, known: pair.1, at: elementPath) { return unknown }
      }
    default: break
    }
    return nil
  }

  /// The known key most like an unknown one: beside it if there is one, else of the same name
  /// anywhere.
  private static func nearest(to path: KeyPathName, in known: StrictJSON) -> String? {
    guard case .key(let key)? = path.parts.last else { return nil }
    var parent = path
    parent.parts.removeLast()
    if case .object(let members)? = known[parent],
      let similar = EditDistance.nearest(to: key, among: members.map(\.key).sorted())
    {
      return parent.appending(.key(similar)).description
    }
    return paths(in: known, at: KeyPathName()).first { $0.parts.last == .key(key) }?.description
  }

  private static func paths(in value: StrictJSON, at path: KeyPathName) -> [KeyPathName] {
    guard case .object(let members) = value else { return [] }
    return members.sorted { $0.key < $1.key }.flatMap { member in
      let memberPath = path.appending(.key(member.key))
      return [memberPath] + paths(in: member.value, at: memberPath)
    }
  }

  // MARK: Errors of decoding

  private static func refusal(
    _ error: DecodingError, of document: StrictJSON, file: String
  ) -> RecipeError? {
    func wrong(_ codingPath: [any CodingKey], _ expected: String) -> RecipeError {
      let path = KeyPathName(codingPath)
      return .wrongValue(
        file: file, path: path.description, expected: expected,
        found: document[path]?.inWords ?? "nothing")
    }
    switch error {
    case .keyNotFound(let key, let context):
      let parent = KeyPathName(context.codingPath)
      var similar: String?
      if case .object(let members)? = document[parent] {
        similar = EditDistance.nearest(to: key.stringValue, among: members.map(\.key).sorted())
      }
      return .missingKey(
        file: file, path: parent.appending(.key(key.stringValue)).description,
        similar: similar.map { parent.appending(.key($0)).description })
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      return wrong(context.codingPath, inWords(type))
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty ? nil : wrong(context.codingPath, "a known value")
    @unknown default: return nil
    }
  }

  /// Finds the number that does not fit its type, such as 1.5 for an integer.
  ///
  /// Foundation does not say where it is. So numbers are replaced by zero, one after the other,
  /// until decoding no longer stumbles over them: the last one replaced is to blame.
  private static func misfit<T: Codable>(
    _ type: T.Type, _ document: StrictJSON, file: String
  ) -> RecipeError {
    var tamed = document
    for (path, number) in numbers(in: document, at: KeyPathName()) {
      tamed = tamed.replacing(path.parts[...], with: .integer(0))
      do {
        _ = try JSONDecoder().decode(type, from: tamed.encoded())
      } catch DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty {
        continue
      } catch {}
      let expected = if case .number = number { "a whole number" } else { "a number in range" }
      return .wrongValue(
        file: file, path: path.description, expected: expected, found: number.inWords)
    }
    return .wrongValue(
      file: file, path: "the document", expected: "a \(type)", found: document.inWords)
  }

  private static func numbers(
    in value: StrictJSON, at path: KeyPathName
  ) -> [(KeyPathName, StrictJSON)] {
    switch value {
    case .object(let members):
      members.flatMap { numbers(in: $0.value, at: path.appending(.key($0.key))) }
    case .array(let elements):
      elements.enumerated().flatMap { numbers(in: $1, at: path.appending(.index($0))) }
    case .integer, .unsigned, .number: [(path, value)]
    case .string, .boolean, .null: []
    }
  }

  private static func inWords(_ type: any Any.Type) -> String {
    switch type {
    case is any BinaryInteger.Type: "a whole number"
    case is any BinaryFloatingPoint.Type: "a number"
    case is String.Type: "a string"
    case is Bool.Type: "true or false"
    case is [Any].Type: "a list"
    case is [String: Any].Type: "an object"
    default: "a \(type)"
    }
  }
}
