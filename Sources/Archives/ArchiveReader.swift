internal import CArchive
internal import Files
internal import Foundation

/// Why an archive is not read or written; one line.
package struct ArchiveError: Error, Equatable, CustomStringConvertible {
  package let path: String
  package let reason: String

  package var description: String { "\(path): \(reason)".onOneLine }
}

/// A tar or zip archive that is being read from its start, with libarchive.
package struct ArchiveReader: ~Copyable {
  private let path: String
  private let handle: OpaquePointer

  package struct Entry {
    package let name: String
    package let isFile, isFolder: Bool
  }

  /// libarchive asks the locale for names, and a program starts in one of ASCII alone.
  static let usesUTF8: Void = { setlocale(LC_CTYPE, "C.UTF-8") }()

  package init(_ path: String) throws(ArchiveError) {
    _ = Self.usesUTF8
    // A pipe would never end.
    let facts = try? FileManager.default.attributesOfItem(atPath: URL(filePath: path).resolvingSymlinksInPath().path)
    guard facts?[.type] as? FileAttributeType == .typeRegular else {
      throw ArchiveError(path: path, reason: "not a regular file")
    }
    guard let handle = archive_read_new() else { throw ArchiveError(path: path, reason: "out of memory") }
    archive_read_support_format_tar(handle)
    archive_read_support_format_zip(handle)
    archive_read_set_options(handle, "zip:hdrcharset=UTF-8")
    guard archive_read_open_filename(handle, path, 1 << 18) == ARCHIVE_OK else {
      defer { archive_read_free(handle) }
      throw Self.failure(path, handle)
    }
    self.path = path
    self.handle = handle
  }

  deinit { archive_read_free(handle) }

  /// - Throws: if the archive is broken here.
  package func next() throws(ArchiveError) -> Entry? {
    var entry: OpaquePointer?
    let status = archive_read_next_header(handle, &entry)
    if status == ARCHIVE_EOF { return nil }
    guard status >= ARCHIVE_WARN, let entry else { throw failure() }
    let name = archive_entry_pathname_utf8(entry) ?? archive_entry_pathname(entry)
    guard let name else { throw failure() }
    let kind = archive_entry_filetype(entry)
    let isLink = archive_entry_hardlink(entry) != nil
    return Entry(name: String(cString: name), isFile: kind == S_IFREG && !isLink, isFolder: kind == S_IFDIR)
  }

  /// The bytes of the entry that ``next()`` gave, at most so many.
  package func bytes(limit: Int) throws(ArchiveError) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count < limit {
      let count = try read(into: &piece)
      guard count > 0 else { break }
      bytes += piece[..<min(count, limit - bytes.count)]
    }
    return bytes
  }

  /// The next bytes of the entry that ``next()`` gave.
  ///
  /// - Returns: how many; 0 at its end.
  func read(into piece: inout [UInt8]) throws(ArchiveError) -> Int {
    let count = archive_read_data(handle, &piece, piece.count)
    guard count >= 0 else { throw failure() }
    return Int(count)
  }

  /// Reads an archive to its end, with the checksums of its entries.
  ///
  /// - Returns: how many entries it has.
  static func entryCount(_ path: String) throws(ArchiveError) -> Int {
    let reader = try ArchiveReader(path)
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    var count = 0
    while try reader.next() != nil {
      count += 1
      while try reader.read(into: &piece) > 0 {}
    }
    return count
  }

  private func failure() -> ArchiveError { Self.failure(path, handle) }

  private static func failure(_ path: String, _ handle: OpaquePointer) -> ArchiveError {
    ArchiveError(
      path: path,
      reason: "a broken archive: " + (archive_error_string(handle).map { String(cString: $0) } ?? "unknown damage"))
  }
}
