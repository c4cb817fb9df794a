/// Cuts a program's text into tokens and knows where in it they are.
struct ProgramScanner {
  private let bytes: [UInt8]
  private let file: String
  private(set) var position = 0

  /// - Parameter file: for errors.
  init(_ bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  // MARK: Errors

  /// What stands here instead of what was expected.
  func failure(_ expected: String, at place: Int? = nil) -> MILError {
    let place = place ?? position
    let before = bytes[..<min(place, bytes.count)]
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let found = bytes[before.endIndex...].prefix { $0 != UInt8(ascii: "\n") }.prefix(40)
    return .text(
      file: file, line: line, column: before.endIndex - start + 1, expected: expected,
      found: found.isEmpty ? "the end" : "'\(String(decoding: found, as: UTF8.self))'")
  }

  // MARK: Tokens

  mutating func skipSpace() {
    while position < bytes.count, bytes[position] == 32 || (9...13).contains(bytes[position]) { position += 1 }
  }

  /// The next byte that is no white space; 0 at the end.
  mutating func next() -> UInt8 {
    skipSpace()
    return position < bytes.count ? bytes[position] : 0
  }

  mutating func isAtEnd() -> Bool {
    skipSpace()
    return position == bytes.count
  }

  mutating func skips(_ symbol: Unicode.Scalar) -> Bool {
    guard next() == UInt8(ascii: symbol) else { return false }
    position += 1
    return true
  }

  mutating func expect(_ symbol: Unicode.Scalar) throws(MILError) {
    guard skips(symbol) else { throw failure("'\(symbol)'") }
  }

  mutating func expect(word: String) throws(MILError) {
    let start = place()
    guard try name("'\(word)'") == word else { throw failure("'\(word)'", at: start) }
  }

  /// Where the next token begins.
  mutating func place() -> Int {
    skipSpace()
    return position
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
      || byte == UInt8(ascii: "_")
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  /// Whether a text can be a name.
  static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, isLetter(first) else { return false }
    return text.utf8.allSatisfy { isLetter($0) || isDigit($0) }
  }

  mutating func name(_ expected: String = "a name") throws(MILError) -> String {
    guard Self.isLetter(next()) else { throw failure(expected) }
    let start = position
    while position < bytes.count, Self.isLetter(bytes[position]) || Self.isDigit(bytes[position]) { position += 1 }
    guard position - start <= Self.longestName else {
      throw failure("a name of at most \(Self.longestName) letters", at: start)
    }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private static let longestName = 1024

  /// A number's characters, or `inf` and `nan`.
  mutating func number(_ expected: String) throws(MILError) -> String {
    _ = next()
    let start = position
    while position < bytes.count,
      Self.isLetter(bytes[position]) || Self.isDigit(bytes[position]) || bytes[position] == UInt8(ascii: ".")
        || ((bytes[position] == UInt8(ascii: "-") || bytes[position] == UInt8(ascii: "+"))
          && (position == start || "eEpP".utf8.contains(bytes[position - 1])))
    {
      position += 1
    }
    guard position > start, position - start <= 400 else { throw failure(expected, at: start) }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  /// What stands between quotes.
  mutating func text() throws(MILError) -> String {
    let start = place()
    try expect("\"")
    var content: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: content, as: UTF8.self) else { throw failure("a text in UTF-8", at: start) }
        return text
      case UInt8(ascii: "\\"):
        guard position < bytes.count, let character = Self.escapes[bytes[position]] else {
          throw failure("one of \\n \\t \\r \\0 \\\" \\' \\\\", at: position - 1)
        }
        content.append(character)
        position += 1
      default: content.append(byte)
      }
    }
    throw failure("a closing quote", at: start)
  }

  private static let escapes: [UInt8: UInt8] = [
    UInt8(ascii: "n"): 10, UInt8(ascii: "t"): 9, UInt8(ascii: "r"): 13, UInt8(ascii: "0"): 0,
    UInt8(ascii: "\""): UInt8(ascii: "\""), UInt8(ascii: "'"): UInt8(ascii: "'"),
    UInt8(ascii: "\\"): UInt8(ascii: "\\"),
  ]
}
