package import Foundation

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
    if let path = RepeatedKeys.first(in: Array(json)) {
      throw .repeatedKey(file: file, path: path)
    }
    let value: T
    do {
      value = try JSONDecoder().decode(type, from: json)
    } catch let error as RecipeError {
      throw error
    } catch let error as DecodingError {
      throw refusal(error, of: document, file: file)
    } catch {
      throw .notJSON(file: file, reason: "\(error)")
    }
    let known = tree(of: value)
    if let path = unknownKey(in: document, known: known, at: KeyPathName()) {
      throw .unknownKey(
        file: file, path: path.description, nearest: nearest(to: path, in: known))
    }
    return value
  }

  static func parse(_ json: Data, file: String) throws(RecipeError) -> JSONValue {
    do {
      return try JSONDecoder().decode(JSONValue.self, from: json)
    } catch {
      throw .notJSON(file: file, reason: syntaxMessage(error))
    }
  }

  /// What Foundation says about the syntax, with line and column.
  private static func syntaxMessage(_ error: any Error) -> String {
    guard case DecodingError.dataCorrupted(let context) = error else { return "\(error)" }
    let detail = (context.underlyingError as NSError?)?.userInfo[NSDebugDescriptionErrorKey]
    return (detail as? String ?? context.debugDescription)
      .trimmingCharacters(in: CharacterSet(charactersIn: "."))
  }

  private static func tree(of value: some Encodable) -> JSONValue {
    do {
      return try JSONDecoder().decode(JSONValue.self, from: try JSONEncoder().encode(value))
    } catch {
      preconditionFailure("a decoded \(type(of: value)) does not encode: \(error)")
    }
  }

  // MARK: Unknown keys

  private static func unknownKey(
    in document: JSONValue, known: JSONValue, at path: KeyPathName
  ) -> KeyPathName? {
    switch (document, known) {
    case (.object(let members), .object(let knownMembers)):
      for (key, member) in members.sorted(by: { $0.key < $1.key }) where member != .null {
        let memberPath = path.appending(.key(key))
        guard let knownMember = knownMembers[key] else { return memberPath }
        if let unknown = unknownKey(in: member, known: knownMember, at: memberPath) {
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
  private static func nearest(to path: KeyPathName, in known: JSONValue) -> String? {
    guard case .key(let key)? = path.parts.last else { return nil }
    var parent = path
    parent.parts.removeLast()
    if case .object(let members)? = known[parent],
      let similar = EditDistance.nearest(to: key, among: members.keys.sorted())
    {
      return parent.appending(.key(similar)).description
    }
    return paths(in: known, at: KeyPathName()).first { $0.parts.last == .key(key) }?.description
  }

  private static func paths(in value: JSONValue, at path: KeyPathName) -> [KeyPathName] {
    guard case .object(let members) = value else { return [] }
    return members.sorted { $0.key < $1.key }.flatMap { key, member in
      let memberPath = path.appending(.key(key))
      return [memberPath] + paths(in: member, at: memberPath)
    }
  }

  // MARK: Errors of decoding

  private static func refusal(
    _ error: DecodingError, of document: JSONValue, file: String
  ) -> RecipeError {
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
        similar = EditDistance.nearest(to: key.stringValue, among: members.keys.sorted())
      }
      return .missingKey(
        file: file, path: parent.appending(.key(key.stringValue)).description,
        similar: similar.map { parent.appending(.key($0)).description })
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      return wrong(context.codingPath, inWords(type))
    case .dataCorrupted(let context):
      let path = KeyPathName(context.codingPath)
      switch document[path] {
      case .integer, .unsigned, .number: return wrong(context.codingPath, "a number that fits")
      default: return wrong(context.codingPath, "a known value")
      }
    @unknown default: return .notJSON(file: file, reason: "\(error)")
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
