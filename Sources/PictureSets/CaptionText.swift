/// What a caption file says.
///
/// UTF-8 with or without a byte order mark; lines end with LF, CR LF or CR and are stripped, and empty ones do not count.
package enum CaptionText {
  /// Longer files hold no caption.
  package static let mostBytes = 64 << 10

  package enum Failure: Error, Equatable, CustomStringConvertible {
    case notUTF8(byte: Int)
    case tooLong(bytes: Int)

    package var description: String {
      switch self {
      case .notUTF8(let byte): "not UTF-8, byte \(byte)"
      case .tooLong(let bytes): "expected a caption of at most \(mostBytes) bytes, found \(bytes)"
      }
    }
  }

  /// The lines that say something; none where the caption is missing.
  package static func lines(_ bytes: [UInt8]) throws(Failure) -> [String] {
    guard bytes.count <= mostBytes else { throw .tooLong(bytes: bytes.count) }
    var rest = bytes[...]
    if rest.starts(with: [0xEF, 0xBB, 0xBF]) { rest = rest.dropFirst(3) }
    guard let text = String(validating: rest, as: UTF8.self) else { throw .notUTF8(byte: firstInvalid(bytes)) }
    return text.split(whereSeparator: \.isNewline).map(stripped).filter { !$0.isEmpty }
  }

  /// A text without the white space around it.
  static func stripped(_ text: some StringProtocol) -> String {
    let start = text.firstIndex { !$0.isWhitespace } ?? text.endIndex
    let end = text.lastIndex { !$0.isWhitespace }.map { text.index(after: $0) } ?? start
    return String(text[start..<end])
  }

  /// Where the first sequence begins that is no UTF-8.
  private static func firstInvalid(_ bytes: [UInt8]) -> Int {
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    var at = 0
    while case .scalarValue(let scalar) = decoder.decode(&iterator) { at += String(scalar).utf8.count }
    return at
  }
}
