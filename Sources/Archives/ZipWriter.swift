internal import CArchive
internal import Foundation

/// Packs a folder as a zip archive, with libarchive.
package enum ZipWriter {
  /// Writes the archive of a folder; equal folders give equal bytes.
  ///
  /// The archive appears when it is complete, in the place of what was there.
  ///
  /// - Parameter top: the folder's name in the archive.
  package static func write(_ folder: String, named top: String, to path: String) throws(ArchiveError) {
    _ = ArchiveReader.usesUTF8
    let partial = "\(path).partial-\(ProcessInfo.processInfo.processIdentifier)"
    defer { try? FileManager.default.removeItem(atPath: partial) }
    try pack(folder, top, partial)
    guard rename(partial, path) == 0 else {
      throw ArchiveError(path: path, reason: "cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  private static func pack(_ folder: String, _ top: String, _ path: String) throws(ArchiveError) {
    guard let handle = archive_write_new() else { throw ArchiveError(path: path, reason: "out of memory") }
    defer { archive_write_free(handle) }
    func check(_ status: Int32) throws(ArchiveError) {
      guard status < ARCHIVE_WARN else { return }
      let reason = archive_error_string(handle).map { String(cString: $0) } ?? "unknown reason"
      throw ArchiveError(path: path, reason: "cannot be written: \(reason)")
    }
    try check(archive_write_set_format_zip(handle))
    try check(archive_write_set_options(handle, "zip:compression=deflate,zip:hdrcharset=UTF-8"))
    try check(archive_write_open_filename(handle, path))
    let names: [String]
    do { names = try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() } catch {
      throw ArchiveError(path: folder, reason: "cannot be read: \(error.localizedDescription)")
    }
    for name in names {
      let place = "\(folder)/\(name)"
      var facts = stat()
      guard stat(place, &facts) == 0, let entry = archive_entry_new() else {
        throw ArchiveError(path: place, reason: "cannot be read")
      }
      defer { archive_entry_free(entry) }
      let isFolder = facts.st_mode & S_IFMT == mode_t(0o040000)
      archive_entry_set_pathname_utf8(entry, "\(top)/\(name)\(isFolder ? "/" : "")")
      archive_entry_set_filetype(entry, isFolder ? 0o040000 : 0o100000)
      archive_entry_set_perm(entry, isFolder ? 0o755 : 0o644)
      // The first date that a zip archive knows.
      archive_entry_set_mtime(entry, 315_532_800, 0)
      archive_entry_set_size(entry, isFolder ? 0 : Int64(facts.st_size))
      try check(archive_write_header(handle, entry))
      guard !isFolder else { continue }
      guard let file = FileHandle(forReadingAtPath: place) else {
        throw ArchiveError(path: place, reason: "cannot be read")
      }
      while let piece = try? file.read(upToCount: 1 << 20), !piece.isEmpty {
        let written = piece.withUnsafeBytes { archive_write_data(handle, $0.baseAddress, $0.count) }
        guard written == piece.count else { return try check(ARCHIVE_FATAL) }
      }
    }
    try check(archive_write_close(handle))
  }
}
