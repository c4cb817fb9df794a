internal import CArchive
internal import Files
internal import Foundation

/// Packs a folder as a zip archive, with libarchive.
package enum ZipWriter {
  /// Writes the archive of a folder; equal folders give equal bytes.
  ///
  /// The archive appears when it is complete, in the place of what was there.
  ///
  /// - Parameters:
  ///   - items: of the folder, by name; all of them if nil.
  ///   - top: the folder's name in the archive.
  package static func write(
    _ folder: String, items: Set<String>? = nil, named top: String, to path: String
  ) throws {
    _ = ArchiveReader.usesUTF8
    var (failure, count) = (nil as ArchiveError?, 0)
    func passing(_ body: () throws(ArchiveError) -> Void) throws(FileError) {
      do throws(ArchiveError) { try body() } catch {
        failure = error
        throw .cannotWrite(file: path, reason: error.reason)
      }
    }
    do {
      try AtomicFile(path: path).write { (temporary) throws(FileError) in
        try passing { () throws(ArchiveError) in count = try pack(folder, items, top, temporary) }
      } check: { (temporary) throws(FileError) in
        try passing { () throws(ArchiveError) in
          guard try ArchiveReader.entryCount(temporary) == count else {
            throw ArchiveError(path: path, reason: "what was written does not read back the same; is the disk sound?")
          }
        }
      }
    } catch {
      throw failure ?? error
    }
  }

  /// - Returns: how many entries the archive has.
  private static func pack(
    _ folder: String, _ items: Set<String>?, _ top: String, _ path: String
  ) throws(ArchiveError) -> Int {
    var count = 0
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
    for name in names where items?.contains(name.split(separator: "/").first.map(String.init) ?? "") ?? true {
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
      count += 1
      guard !isFolder else { continue }
      guard let file = FileHandle(forReadingAtPath: place) else {
        throw ArchiveError(path: place, reason: "cannot be read")
      }
      var left = Int(facts.st_size)
      while left > 0 {
        do { try OutputsInProgress.check(path) } catch { throw ArchiveError(path: path, reason: "interrupted") }
        let piece: Data
        do { piece = try file.read(upToCount: min(left, 1 << 20)) ?? Data() } catch {
          throw ArchiveError(path: place, reason: "cannot be read: \(error.localizedDescription)")
        }
        guard !piece.isEmpty else { throw ArchiveError(path: place, reason: "became shorter while it was read") }
        left -= piece.count
        let written = piece.withUnsafeBytes { archive_write_data(handle, $0.baseAddress, $0.count) }
        try check(written == piece.count ? ARCHIVE_OK : ARCHIVE_FATAL)
      }
    }
    try check(archive_write_close(handle))
    return count
  }
}
