/// A JSON document whose objects keep their order and cannot name a key twice.
///
/// Foundation's parser keeps one of two equal keys silently and, on Linux, does not say where it
/// stumbled; what comes from strangers or is written by hand deserves better.
package indirect enum StrictJSON: Equatable, Sendable {
  case object([Member])
  case array([StrictJSON])
  case string(String)
  case integer(Int)
  /// Integers beyond the signed ones, such as random seeds.
  case unsigned(UInt64)
  case number(Double)
  case boolean(Bool)
  case null

  package struct Member: Equatable, Sendable {
    package let key: String
    package let value: StrictJSON

    package init(key: String, value: StrictJSON) {
      self.key = key
      self.value = value
    }
  }

  package struct Failure: Error {
    /// Bytes before the place.
    package let offset: Int
    /// Of the place, from 1; columns count bytes.
    package let line: Int
    package let column: Int
    package let expected: String
  }

  /// Which texts count as JSON.
  package enum Dialect: Sendable {
    /// RFC 8259.
    case strict
    /// As Python's `json` module writes it: `NaN`, `Infinity` and `-Infinity` are numbers too.
    case python
  }

  package static func parse(_ bytes: [UInt8], dialect: Dialect = .strict) throws(Failure) -> StrictJSON {
    var parser = StrictJSONParser(bytes: bytes, dialect: dialect)
    return try parser.document()
  }

  /// The value of an object's key.
  package subscript(key: String) -> StrictJSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// What kind of value this is, for messages.
  package var kind: String {
    switch self {
    case .object: "an object"
    case .array: "a list"
    case .string: "a string"
    case .integer, .unsigned: "an integer"
    case .number: "a number"
    case .boolean: "a boolean"
    case .null: "null"
    }
  }
}
