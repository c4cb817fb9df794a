internal import CArchive
internal import Foundation
internal import Pictures

/// The files of tar and zip archives, read in place with libarchive.
struct ArchiveStore: PictureStore {
  let files: [String]
  let refused: [UnusablePicture]
  /// Of each archive: its path, and what stands before the names of its entries.
  private let archives: [(path: String, prefix: String)]
  /// Captions and metadata, read when the archive was listed.
  private let small: [String: [UInt8]]

  /// Endings of files that say something about pictures.
  private static let textEndings: Set<String> = ["txt", "caption", "json", "jsonl", "csv"]
  /// Metadata of a large set is one file.
  private static let mostTextBytes = 256 << 20
  private static let mostEntries = 20_000_000

  /// - Parameter archives: several are the shards of one set, told apart by the prefixes.
  init(_ archives: [(path: String, prefix: String)]) throws(PictureSetError) {
    self.archives = archives
    var files: [String] = []
    var names: Set<String> = []
    var refused: [UnusablePicture] = []
    var small: [String: [UInt8]] = [:]
    var room = Self.mostTextBytes
    for (path, prefix) in archives {
      let archive = try OpenArchive.open(path)
      while let entry = try archive.next() {
        // A folder packed as `.` has an entry of that name.
        if entry.isFolder, RelativePath.isNowhere(entry.name) { continue }
        guard let name = RelativePath.normalized(entry.name) else {
          throw .archive(path: path, reason: "entry \"\(entry.name)\" leaves the archive")
        }
        let file = prefix + name
        guard !entry.isFolder, !RelativePath.isJunk(file) else { continue }
        guard entry.isFile else {
          if RelativePath.isPicture(file) { refused.append(UnusablePicture(file: file, reason: "a link, not a file")) }
          continue
        }
        guard names.insert(file).inserted else {
          if RelativePath.isPicture(file) {
            refused.append(UnusablePicture(file: file, reason: "the archive has several entries of this name"))
          }
          continue
        }
        files.append(file)
        guard files.count <= Self.mostEntries else { throw .archive(path: path, reason: "too many entries") }
        if Self.textEndings.contains(RelativePath.stemAndExtension(file).ending) {
          let bytes = try archive.bytes(limit: min(room, Self.mostTextBytes))
          room -= bytes.count
          guard room > 0 else {
            throw .archive(path: path, reason: "more than \(Self.mostTextBytes) bytes of captions and metadata")
          }
          small[file] = bytes
        }
      }
    }
    // Which of several entries of a name is meant, nobody can say.
    let ambiguous = Set(refused.map(\.file))
    self.files = files.filter { !ambiguous.contains($0) }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    self.refused = refused
    self.small = small
  }

  func bytes(of file: String, limit: Int) throws(PictureSetError) -> [UInt8] {
    guard let bytes = small[file] else { throw .unreadable(path: file, reason: "no text") }
    return Array(bytes.prefix(limit))
  }

  func read(
    _ files: Set<String>, _ body: (String, Result<[UInt8], UnusablePicture>) throws -> Bool
  ) throws {
    for (path, prefix) in archives where files.contains(where: { $0.hasPrefix(prefix) }) {
      let archive = try OpenArchive.open(path)
      while let entry = try archive.next() {
        guard entry.isFile, let name = RelativePath.normalized(entry.name), files.contains(prefix + name) else {
          continue
        }
        let file = prefix + name
        let bytes: Result<[UInt8], UnusablePicture>
        do throws(PictureSetError) {
          let found = try archive.bytes(limit: PictureFile.mostBytes + 1)
          bytes =
            found.count > PictureFile.mostBytes
            ? .failure(UnusablePicture(file: file, reason: "expected at most \(PictureFile.mostBytes) bytes"))
            : .success(found)
        } catch {
          bytes = .failure(UnusablePicture(file: file, reason: "\(error)"))
        }
        guard try body(file, bytes) else { return }
      }
    }
  }

}

/// An archive that is being read from its start.
private struct OpenArchive: ~Copyable {
  private let path: String
  private let handle: OpaquePointer

  struct Entry {
    let name: String
    let isFile, isFolder: Bool
  }

  /// libarchive asks the locale for names, and a program starts in one of ASCII alone.
  private static let readsUTF8: Void = { setlocale(LC_CTYPE, "C.UTF-8") }()

  private init(_ path: String, _ handle: OpaquePointer) {
    self.path = path
    self.handle = handle
  }

  static func open(_ path: String) throws(PictureSetError) -> OpenArchive {
    _ = Self.readsUTF8
    // A pipe would never end.
    let facts = try? FileManager.default.attributesOfItem(atPath: URL(filePath: path).resolvingSymlinksInPath().path)
    guard facts?[.type] as? FileAttributeType == .typeRegular else {
      throw .archive(path: path, reason: "not a regular file")
    }
    guard let handle = archive_read_new() else { throw .archive(path: path, reason: "out of memory") }
    let archive = OpenArchive(path, handle)
    archive_read_support_format_tar(handle)
    archive_read_support_format_zip(handle)
    archive_read_set_options(handle, "zip:hdrcharset=UTF-8")
    guard archive_read_open_filename(handle, path, 1 << 18) == ARCHIVE_OK else { throw archive.failure() }
    return archive
  }

  deinit { archive_read_free(handle) }

  /// - Throws: if the archive is broken here.
  func next() throws(PictureSetError) -> Entry? {
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
  func bytes(limit: Int) throws(PictureSetError) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count < limit {
      let count = archive_read_data(handle, &piece, piece.count)
      guard count >= 0 else { throw failure() }
      guard count > 0 else { break }
      bytes += piece[..<min(Int(count), limit - bytes.count)]
    }
    return bytes
  }

  private func failure() -> PictureSetError {
    .archive(
      path: path,
      reason: "a broken archive: " + (archive_error_string(handle).map { String(cString: $0) } ?? "unknown damage"))
  }
}
