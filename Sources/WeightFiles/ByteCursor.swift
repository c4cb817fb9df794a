internal import Files
internal import Kernels

/// Reads a mapped file from a place on, never beyond its end.
struct ByteCursor {
  let file: MappedFile
  var offset: Int
  let end: Int
  /// What the file is, for messages.
  private let kind: String

  private static let longestNote = 1 << 26

  init(_ file: MappedFile, _ range: Range<Int>, kind: String) {
    self.file = file
    offset = range.lowerBound
    end = range.upperBound
    self.kind = kind
  }

  var remaining: Int { end - offset }

  func truncated() -> FileError {
    .malformed(
      file: file.path, expected: "\(kind) that goes on behind byte \(offset)", found: "its end: is it complete?")
  }

  /// Steps over so many bytes.
  ///
  /// - Returns: where they are.
  mutating func take(_ count: Int) throws(FileError) -> Range<Int> {
    guard count >= 0, count <= remaining else { throw truncated() }
    defer { offset += count }
    return offset..<offset + count
  }

  mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) throws(FileError) -> Number {
    let range = try take(MemoryLayout<Number>.size)
    return Number(littleEndian: file.withBytes(range) { $0.element(0, as: Number.self) })
  }

  /// A number of bytes or things, which may not be more than what is left can hold.
  mutating func count<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type) throws(FileError) -> Int {
    let value = try number(type)
    guard value >= 0, value <= remaining else {
      throw .malformed(
        file: file.path, expected: "\(kind) of at most \(remaining) bytes more", found: "a count of \(value)")
    }
    return Int(value)
  }

  /// Bytes in memory: names and notes, never weights.
  mutating func bytes(_ count: Int) throws(FileError) -> [UInt8] {
    guard count <= Self.longestNote else {
      throw .malformed(
        file: file.path, expected: "\(kind) with notes of at most \(Self.longestNote) bytes", found: "\(count) bytes")
    }
    let range = try take(count)
    return file.withBytes(range) { $0.elements(as: UInt8.self) }
  }

  mutating func text(_ count: Int) throws(FileError) -> String {
    String(decoding: try bytes(count), as: UTF8.self)
  }

  /// The text before the next line feed.
  mutating func line() throws(FileError) -> String {
    var text: [UInt8] = []
    while true {
      let byte = try number(UInt8.self)
      if byte == 0x0A { return String(decoding: text, as: UTF8.self) }
      text.append(byte)
    }
  }
}
