package import Foundation

extension StrictJSON {
  /// As it would stand in a message: `'text'`, `3`, `a list`.
  package var inWords: String {
    switch self {
    case .string(let text): "'\(text)'"
    case .integer(let number): "\(number)"
    case .unsigned(let number): "\(number)"
    case .number(let number): "\(number)"
    case .boolean(let truth): "\(truth)"
    case .object, .array, .null: kind
    }
  }

  package func encoded() -> Data { Data(text.utf8) }

  /// The document in one line.
  package var text: String {
    switch self {
    case .object(let members):
      "{" + members.map { "\(Self.quoted($0.key)):\($0.value.text)" }.joined(separator: ",") + "}"
    case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
    case .string(let string): Self.quoted(string)
    // As Python writes them.
    case .number(let number) where number.isNaN: "NaN"
    case .number(let number) where number.isInfinite: number < 0 ? "-Infinity" : "Infinity"
    case .integer, .unsigned, .number, .boolean: inWords
    case .null: "null"
    }
  }

  private static func quoted(_ string: String) -> String {
    // Strings always encode.
    guard let data = try? JSONEncoder().encode(string) else { preconditionFailure(string) }
    return String(decoding: data, as: UTF8.self)
  }
}
