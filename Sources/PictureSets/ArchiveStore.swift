internal import Archives
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
    var listing = Listing()
    for (path, prefix) in archives {
      do {
        try listing.add(path, prefix: prefix)
      } catch {
        throw error as? PictureSetError ?? .archive(path: path, reason: (error as? ArchiveError)?.reason ?? "\(error)")
      }
    }
    self.archives = archives
    // Which of several entries of a name is meant, nobody can say.
    let ambiguous = Set(listing.refused.map(\.file))
    files = listing.files.filter { !ambiguous.contains($0) }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    refused = listing.refused
    small = listing.small
  }

  /// What is in archives, as they are gone through once.
  private struct Listing {
    var files: [String] = []
    var refused: [UnusablePicture] = []
    var small: [String: [UInt8]] = [:]
    private var names: Set<String> = []
    private var room = mostTextBytes

    mutating func add(_ path: String, prefix: String) throws {
      let archive = try ArchiveReader(path)
      while let entry = try archive.next() {
        // A folder packed as `.` has an entry of that name.
        if entry.isFolder, RelativePath.isNowhere(entry.name) { continue }
        guard let name = RelativePath.normalized(entry.name) else {
          throw PictureSetError.archive(path: path, reason: "entry \"\(entry.name)\" leaves the archive")
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
        guard files.count <= mostEntries else { throw PictureSetError.archive(path: path, reason: "too many entries") }
        if textEndings.contains(RelativePath.stemAndExtension(file).ending) {
          let bytes = try archive.bytes(limit: min(room, mostTextBytes))
          room -= bytes.count
          guard room > 0 else {
            throw PictureSetError.archive(
              path: path, reason: "more than \(mostTextBytes) bytes of captions and metadata")
          }
          small[file] = bytes
        }
      }
    }
  }

  func bytes(of file: String, limit: Int) throws(PictureSetError) -> [UInt8] {
    guard let bytes = small[file] else { throw .unreadable(path: file, reason: "no text") }
    return Array(bytes.prefix(limit))
  }

  func read(
    _ files: Set<String>, _ body: (String, Result<[UInt8], UnusablePicture>) throws -> Bool
  ) throws {
    for (path, prefix) in archives where files.contains(where: { $0.hasPrefix(prefix) }) {
      let archive = try ArchiveReader(path)
      while let entry = try archive.next() {
        guard entry.isFile, let name = RelativePath.normalized(entry.name), files.contains(prefix + name) else {
          continue
        }
        let file = prefix + name
        let bytes: Result<[UInt8], UnusablePicture>
        do throws(ArchiveError) {
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
