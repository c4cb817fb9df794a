internal import Foundation
internal import Kernels

/// Copies of files and folders that hold the same bytes, but neither owner nor dates: those of another user's files cannot
/// be passed on.
package enum FileCopy {
  /// Bytes in memory at once.
  private static let piece = 8 << 20

  /// Copies a file, forces the copy to the disk and reads it back.
  package static func copy(_ source: String, to target: String) throws(FileError) {
    let file = try MappedFile.open(source)
    let writer = try FileWriter(target)
    for start in stride(from: 0, to: file.count, by: piece) {
      let range = start..<min(file.count, start + piece)
      defer { file.forget(range) }
      try writer.append(file.data(range))
    }
    try writer.finish()
    let copy = try MappedFile.open(target)
    guard copy.count == file.count else { throw Self.difference(target) }
    let ranges = stride(from: 0, to: file.count, by: piece).map { $0..<min(file.count, $0 + piece) }
    let isSame = Parallel.map(ranges.count) { index in
      let range = ranges[index]
      defer {
        file.forget(range)
        copy.forget(range)
      }
      return file.withBytes(range) { bytes in
        copy.withBytes(range) { copied in
          bytes.withUnsafeBytes { a in
            copied.withUnsafeBytes { b in memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 }
          }
        }
      }
    }
    guard isSame.allSatisfy({ $0 }) else { throw Self.difference(target) }
  }

  /// Copies all that is in a folder.
  ///
  /// - Parameter linking: whether files get a second name where the file system can, and are copied only elsewhere.
  /// - Precondition: there is no file under the target's name.
  package static func copyTree(_ source: String, to target: String, linking: Bool = false) throws(FileError) {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: source) else {
      guard linking, link(source, target) == 0 else { return try copy(source, to: target) }
      return
    }
    try Folder.create(target)
    for name in names.sorted() { try copyTree("\(source)/\(name)", to: "\(target)/\(name)", linking: linking) }
  }

  /// Puts a copy of a file or folder in the place of what is there; nothing happens if both are the same.
  ///
  /// What was there goes when the copy is complete.
  package static func replace(_ target: String, with source: String) throws(FileError) {
    let places = [source, target].map { URL(filePath: $0).resolvingSymlinksInPath() }
    guard places[0] != places[1] else { return }
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: source) else {
      return try AtomicFile(path: target).write { (temporary) throws(FileError) in try copy(source, to: temporary) }
    }
    let folder = try StagedFolder(target, kind: "folder") { _ in true }
    for name in names.sorted() { try copyTree("\(source)/\(name)", to: "\(folder.temporary)/\(name)") }
    try folder.finish()
  }

  /// - Parameter name: the file that an error names.
  static func check(_ path: String, holds contents: Data, for name: String) throws(FileError) {
    let file = try MappedFile.open(path)
    guard file.count == contents.count, file.data(0..<file.count) == contents else { throw difference(name) }
  }

  private static func difference(_ name: String) -> FileError {
    .cannotWrite(file: name, reason: "what was written does not read back the same; is the disk sound?")
  }
}

/// Folders that are made and replaced.
package enum Folder {
  /// Makes a folder and those on the way to it; nothing happens where it is there.
  ///
  /// - Parameter name: what errors name.
  package static func create(_ path: String, for name: String? = nil) throws(FileError) {
    guard mkdir(path, 0o777) != 0 else { return }
    let parent = (path as NSString).deletingLastPathComponent
    if errno == ENOENT, !parent.isEmpty, parent != path {
      try create(parent, for: name)
      if mkdir(path, 0o777) == 0 { return }
    }
    let reason = errno
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    throw .cannotWrite(file: name ?? path, reason: String(cString: strerror(reason)))
  }

  /// Forces the names in a folder, and in all folders in it, to the disk.
  static func synchronizeTree(_ path: String, for name: String) throws(FileError) {
    for item in (try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? [] {
      var status = stat()
      guard lstat("\(path)/\(item)", &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { continue }
      try Synchronization.folder("\(path)/\(item)", for: name)
    }
    try Synchronization.folder(path, for: name)
  }
}
