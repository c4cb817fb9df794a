internal import Foundation

/// A JSON document as a tree.
indirect enum JSONValue: Codable, Equatable {
  case object([String: JSONValue])
  case array([JSONValue])
  case string(String)
  case integer(Int)
  /// Integers beyond the signed ones, such as random seeds.
  case unsigned(UInt64)
  case number(Double)
  case boolean(Bool)
  case null

  init(from decoder: any Decoder) throws {
    if let values = try? decoder.container(keyedBy: KeyName.self) {
      var members: [String: JSONValue] = [:]
      for key in values.allKeys {
        members[key.stringValue] = try values.decode(JSONValue.self, forKey: key)
      }
      self = .object(members)
    } else if var values = try? decoder.unkeyedContainer() {
      var elements: [JSONValue] = []
      while !values.isAtEnd { elements.append(try values.decode(JSONValue.self)) }
      self = .array(elements)
    } else {
      self = try Self.single(try decoder.singleValueContainer())
    }
  }

  private static func single(_ value: any SingleValueDecodingContainer) throws -> JSONValue {
    if value.decodeNil() { return .null }
    if let boolean = try? value.decode(Bool.self) { return .boolean(boolean) }
    if let integer = try? value.decode(Int.self) { return .integer(integer) }
    if let integer = try? value.decode(UInt64.self) { return .unsigned(integer) }
    if let number = try? value.decode(Double.self) { return .number(number) }
    return .string(try value.decode(String.self))
  }

  func encode(to encoder: any Encoder) throws {
    switch self {
    case .object(let members):
      var values = encoder.container(keyedBy: KeyName.self)
      for (key, member) in members { try values.encode(member, forKey: KeyName(key)) }
    case .array(let elements):
      var values = encoder.unkeyedContainer()
      for element in elements { try values.encode(element) }
    case .string(let text): try single(text, encoder)
    case .integer(let number): try single(number, encoder)
    case .unsigned(let number): try single(number, encoder)
    case .number(let number): try single(number, encoder)
    case .boolean(let truth): try single(truth, encoder)
    case .null:
      var value = encoder.singleValueContainer()
      try value.encodeNil()
    }
  }

  private func single(_ value: some Encodable, _ encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }

  /// As it would stand in a message: `'text'`, `3`, `a list`.
  var inWords: String {
    switch self {
    case .object: "an object"
    case .array: "a list"
    case .string(let text): "'\(text)'"
    case .integer(let number): "\(number)"
    case .unsigned(let number): "\(number)"
    case .number(let number): "\(number)"
    case .boolean(let truth): "\(truth)"
    case .null: "null"
    }
  }

  subscript(path: KeyPathName) -> JSONValue? {
    var value = self
    for part in path.parts {
      switch (value, part) {
      case (.object(let members), .key(let key)):
        guard let member = members[key] else { return nil }
        value = member
      case (.array(let elements), .index(let index)):
        guard elements.indices.contains(index) else { return nil }
        value = elements[index]
      default: return nil
      }
    }
    return value
  }
}

private struct KeyName: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ key: String) { stringValue = key }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { return nil }
}

/// Where a value stands in a document: `clustering.layers[0].bits`.
struct KeyPathName: Equatable, CustomStringConvertible {
  enum Part: Equatable {
    case key(String)
    case index(Int)
  }

  var parts: [Part] = []

  init() {}

  init(_ codingPath: [any CodingKey]) {
    parts = codingPath.map { key in key.intValue.map { .index($0) } ?? .key(key.stringValue) }
  }

  func appending(_ part: Part) -> KeyPathName {
    var path = self
    path.parts.append(part)
    return path
  }

  var description: String {
    parts.isEmpty
      ? "the document"
      : parts.reduce("") { text, part in
        switch part {
        case .key(let key): text.isEmpty ? key : "\(text).\(key)"
        case .index(let index): "\(text)[\(index)]"
        }
      }
  }
}
