/// A recursive-descent parser for RFC 8259, bounded in depth and in the number of values so that a
/// hostile file cannot exhaust the stack or the memory.
struct StrictJSONParser {
  let bytes: [UInt8]
  let dialect: StrictJSON.Dialect
  var offset = 0
  private var values = 0

  static let deepest = 16
  static let mostValues = 4_000_000

  init(bytes: [UInt8], dialect: StrictJSON.Dialect) {
    self.bytes = bytes
    self.dialect = dialect
  }

  private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private func failure(_ expected: String) -> StrictJSON.Failure {
    let before = bytes[..<min(offset, bytes.count)]
    let line = before.count { $0 == 0x0A } + 1
    let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    return StrictJSON.Failure(
      offset: offset, line: line, column: before.count - lineStart + 1, expected: expected)
  }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      offset += 1
    }
  }

  /// Steps over `character` and the space around it, if it is next.
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard next == UInt8(ascii: character) else { return false }
    offset += 1
    skipSpace()
    return true
  }

  private mutating func require(_ character: Unicode.Scalar) throws(StrictJSON.Failure) {
    guard take(character) else { throw failure("'\(character)'") }
  }

  mutating func document() throws(StrictJSON.Failure) -> StrictJSON {
    skipSpace()
    let result = try value(depth: 0)
    skipSpace()
    guard offset == bytes.count else { throw failure("the end of the text") }
    return result
  }

  private mutating func value(depth: Int) throws(StrictJSON.Failure) -> StrictJSON {
    guard depth < Self.deepest else { throw failure("at most \(Self.deepest) levels") }
    values += 1
    guard values <= Self.mostValues else { throw failure("at most \(Self.mostValues) values") }
    switch next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .boolean(true))
    case UInt8(ascii: "f"): return try word("false", .boolean(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "N") where dialect == .python: return try word("NaN", .number(.nan))
    case UInt8(ascii: "I") where dialect == .python: return try word("Infinity", .number(.infinity))
    case UInt8(ascii: "-") where dialect == .python && bytes[offset...].starts(with: "-I".utf8):
      return try word("-Infinity", .number(-.infinity))
    default: return try number()
    }
  }

  private mutating func object(depth: Int) throws(StrictJSON.Failure) -> StrictJSON {
    try require("{")
    var members: [StrictJSON.Member] = []
    var keys: Set<String> = []
    guard !take("}") else { return .object([]) }
    repeat {
      guard next == UInt8(ascii: "\"") else { throw failure("a key in quotes") }
      let start = offset
      let key = try string()
      guard keys.insert(key).inserted else {
        offset = start
        throw failure("'\(key)' only once")
      }
      try require(":")
      members.append(StrictJSON.Member(key: key, value: try value(depth: depth + 1)))
    } while take(",")
    try require("}")
    return .object(members)
  }

  private mutating func array(depth: Int) throws(StrictJSON.Failure) -> StrictJSON {
    try require("[")
    var elements: [StrictJSON] = []
    guard !take("]") else { return .array([]) }
    repeat { elements.append(try value(depth: depth + 1)) } while take(",")
    try require("]")
    return .array(elements)
  }

  private mutating func word(
    _ text: String, _ meaning: StrictJSON
  ) throws(StrictJSON.Failure) -> StrictJSON {
    guard bytes[offset...].starts(with: text.utf8) else { throw failure("a value") }
    offset += text.utf8.count
    return meaning
  }

  private mutating func digits() throws(StrictJSON.Failure) {
    let start = offset
    while let byte = next, (0x30...0x39).contains(byte) { offset += 1 }
    if offset == start { throw failure("a value") }
  }

  private mutating func number() throws(StrictJSON.Failure) -> StrictJSON {
    let start = offset
    var whole = true
    if next == UInt8(ascii: "-") { offset += 1 }
    let first = offset
    try digits()
    if bytes[first] == UInt8(ascii: "0"), offset > first + 1 { throw failure("no leading zero") }
    if next == UInt8(ascii: ".") {
      whole = false
      offset += 1
      try digits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      whole = false
      offset += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { offset += 1 }
      try digits()
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    if whole, let integer = Int(text) { return .integer(integer) }
    if whole, let integer = UInt64(text) { return .unsigned(integer) }
    guard let number = Double(text), number.isFinite else { throw failure("a finite number") }
    return .number(number)
  }

  private mutating func string() throws(StrictJSON.Failure) -> String {
    offset += 1
    var text: [UInt8] = []
    while let byte = next {
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else {
          throw failure("UTF-8 in a string")
        }
        return string
      case UInt8(ascii: "\\"): text.append(contentsOf: String(try escape()).utf8)
      case ..<0x20: throw failure("no control character in a string")
      default: text.append(byte)
      }
    }
    throw failure("a closing quote")
  }

  private mutating func escape() throws(StrictJSON.Failure) -> Unicode.Scalar {
    guard let byte = next else { throw failure("an escaped character") }
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try unicodeEscape()
    default: throw failure("an escape of JSON")
    }
  }

  /// The four hexadecimal digits after `\u`, and after a high surrogate its low half.
  private mutating func unicodeEscape() throws(StrictJSON.Failure) -> Unicode.Scalar {
    let high = try fourDigits()
    if let scalar = Unicode.Scalar(high) { return scalar }
    guard (0xD800..<0xDC00).contains(high), bytes[offset...].starts(with: "\\u".utf8) else {
      throw failure("a surrogate pair")
    }
    offset += 2
    let low = try fourDigits()
    guard (0xDC00..<0xE000).contains(low),
      let scalar = Unicode.Scalar(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    else { throw failure("a surrogate pair") }
    return scalar
  }

  private mutating func fourDigits() throws(StrictJSON.Failure) -> UInt32 {
    guard offset + 4 <= bytes.count else { throw failure("four hexadecimal digits") }
    var code: UInt32 = 0
    for byte in bytes[offset..<offset + 4] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw failure("four hexadecimal digits")
      }
      code = code << 4 | UInt32(digit)
    }
    offset += 4
    return code
  }
}
