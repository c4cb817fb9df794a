internal import Files
internal import Kernels

/// Where the members of a zip archive lie in its file; torch stores them uncompressed so that they can be mapped.
struct ZipDirectory {
  /// Bytes of each member, by its path in the archive.
  let members: [String: Range<Int>]

  private static let kind = "a zip archive"
  private static let (endSignature, end64Signature, locatorSignature): (UInt32, UInt32, UInt32) = (
    0x0605_4B50, 0x0606_4B50, 0x0706_4B50
  )

  init(_ file: MappedFile) throws(FileError) {
    let (count, start, size) = try Self.directory(of: file)
    guard start >= 0, size >= 0, start <= file.count, size <= file.count - start else {
      throw .malformed(file: file.path, expected: "a zip archive with a directory inside", found: "bytes from \(start)")
    }
    var cursor = ByteCursor(file, start..<start + size, kind: Self.kind)
    var members: [String: Range<Int>] = [:]
    for _ in 0..<count {
      let (name, range) = try Self.member(&cursor, file)
      guard members.updateValue(range, forKey: name) == nil else {
        throw .malformedItem(file: file.path, item: name, expected: "each member once", found: "twice")
      }
    }
    self.members = members
  }

  /// Number of entries, and where the central directory lies.
  private static func directory(of file: MappedFile) throws(FileError) -> (count: Int, start: Int, size: Int) {
    // The end record is the last thing but for a comment of at most 64 KB.
    let first = max(0, file.count - 22 - 65_535)
    let tail = file.withBytes(first..<file.count) { $0.elements(as: UInt8.self) }
    guard tail.count >= 22,
      let place = (0...tail.count - 22).reversed().first(where: { tail[$0...].starts(with: [0x50, 0x4B, 5, 6]) })
    else { throw .malformed(file: file.path, expected: "a zip archive with its end", found: "none: is it complete?") }
    var cursor = ByteCursor(file, first + place + 10..<file.count, kind: kind)
    let count = try cursor.number(UInt16.self)
    let (size, start) = (try cursor.number(UInt32.self), try cursor.number(UInt32.self))
    guard count == .max || size == .max || start == .max, first + place >= 20 else {
      return (Int(count), Int(start), Int(size))
    }
    cursor = ByteCursor(file, first + place - 20..<file.count, kind: kind)
    guard try cursor.number(UInt32.self) == locatorSignature else { return (Int(count), Int(start), Int(size)) }
    _ = try cursor.take(4)
    let end64 = Int(clamping: try cursor.number(UInt64.self))
    guard end64 <= file.count - 56 else { throw cursor.truncated() }
    cursor = ByteCursor(file, end64..<file.count, kind: kind)
    guard try cursor.number(UInt32.self) == end64Signature else {
      throw .malformed(file: file.path, expected: "the end record of a large zip archive", found: "other bytes")
    }
    _ = try cursor.take(28)
    let (entries, bytes) = (try cursor.number(UInt64.self), try cursor.number(UInt64.self))
    return (
      Int(clamping: min(entries, UInt64(file.count))), Int(clamping: try cursor.number(UInt64.self)),
      Int(clamping: bytes)
    )
  }

  /// One entry of the directory.
  private static func member(_ cursor: inout ByteCursor, _ file: MappedFile) throws(FileError) -> (String, Range<Int>) {
    guard try cursor.number(UInt32.self) == 0x0201_4B50 else {
      throw .malformed(file: file.path, expected: "an entry of the zip archive's directory", found: "other bytes")
    }
    _ = try cursor.take(6)
    let method = try cursor.number(UInt16.self)
    _ = try cursor.take(8)
    var stored = Int(try cursor.number(UInt32.self))
    var size = Int(try cursor.number(UInt32.self))
    let (nameLength, extraLength, commentLength) = (
      Int(try cursor.number(UInt16.self)), Int(try cursor.number(UInt16.self)), Int(try cursor.number(UInt16.self))
    )
    _ = try cursor.take(8)
    var header = Int(try cursor.number(UInt32.self))
    let name = try cursor.text(nameLength)
    var extra = ByteCursor(file, try cursor.take(extraLength), kind: kind)
    while extra.remaining >= 4 {
      let (identifier, length) = (try extra.number(UInt16.self), Int(try extra.number(UInt16.self)))
      var field = ByteCursor(file, try extra.take(length), kind: kind)
      guard identifier == 1 else { continue }
      if size == Int(UInt32.max) { size = Int(clamping: try field.number(UInt64.self)) }
      if stored == Int(UInt32.max) { stored = Int(clamping: try field.number(UInt64.self)) }
      if header == Int(UInt32.max) { header = Int(clamping: try field.number(UInt64.self)) }
    }
    _ = try cursor.take(commentLength)
    guard method == 0, size == stored else {
      throw .malformedItem(
        file: file.path, item: name, expected: "a stored member, as torch writes them",
        found: "a compressed one: unpack the archive and pack it with 'zip -0'")
    }
    guard header <= file.count - 30 else { throw cursor.truncated() }
    // The local header has a length of extra bytes of its own, by which data are aligned.
    var local = ByteCursor(file, header..<file.count, kind: kind)
    guard try local.number(UInt32.self) == 0x0403_4B50 else {
      throw .malformedItem(file: file.path, item: name, expected: "a member's header", found: "other bytes")
    }
    _ = try local.take(22)
    let skipped = Int(try local.number(UInt16.self)) + Int(try local.number(UInt16.self))
    _ = try local.take(skipped)
    return (name, try local.take(size))
  }
}
