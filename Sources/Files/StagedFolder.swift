internal import CFiles
package import Foundation

/// A folder that is written beside its destination and takes its place at once, when all of it is on the disk.
///
/// One that is dropped unfinished leaves nothing behind.
package final class StagedFolder {
  /// Where the folder will be.
  package let path: String
  /// Where it is written.
  package let temporary: String
  private var isFinished = false

  /// Of a folder that steps aside.
  private static let oldSuffix = "-old"

  /// - Parameters:
  ///   - path: nothing but an empty folder or one that is known is ever replaced.
  ///   - kind: what a known folder is, in words.
  ///   - isKnown: whether a folder with these files is one.
  package init(_ path: String, kind: String, isKnown: ([String]) -> Bool) throws(FileError) {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.path = path
    let files = FileManager.default
    if (try? files.attributesOfItem(atPath: path)) != nil {
      guard let items = try? files.contentsOfDirectory(atPath: path), items.isEmpty || isKnown(items) else {
        throw .occupied(path: path, kind: kind)
      }
    }
    temporary = PartialPath.own(path)
    OutputsInProgress.begin()
    Self.removeAbandoned(path)
    try? files.removeItem(atPath: temporary)
    try Folder.create(temporary, for: path)
  }

  deinit {
    if !isFinished { Self.discard(temporary) }
    OutputsInProgress.end()
  }

  /// Makes a folder inside.
  package func createFolder(_ name: String) throws(FileError) {
    try Folder.create("\(temporary)/\(name)", for: "\(path)/\(name)")
  }

  /// Writes a file inside, in a folder that is there, and reads it back.
  package func write(_ name: String, _ contents: Data) throws(FileError) {
    let place = "\(temporary)/\(name)"
    let writer = try FileWriter(place, for: "\(path)/\(name)")
    try writer.append(contents)
    try writer.finish()
    try FileCopy.check(place, holds: contents, for: "\(path)/\(name)")
  }

  /// Removes a file or folder inside.
  package func remove(_ name: String) throws(FileError) {
    do { try FileManager.default.removeItem(atPath: "\(temporary)/\(name)") } catch {
      throw .cannotWrite(file: path, reason: "\(name) in it cannot be removed")
    }
  }

  /// Removes a folder that nobody needs; what cannot be removed, ``removeAbandoned(_:)`` will find.
  private static func discard(_ folder: String) {
    // A second time for errors that pass.
    for _ in 0..<2 where FileManager.default.fileExists(atPath: folder) {
      try? FileManager.default.removeItem(atPath: folder)
    }
  }

  /// Removes what writers of `path` left behind that were killed. A folder that stepped aside comes back if nothing took its
  /// place.
  package static func removeAbandoned(_ path: String) {
    for old in PartialPath.abandoned(path, ending: oldSuffix) {
      if FileManager.default.fileExists(atPath: path) {
        discard(old)
      } else {
        rename(old, path)
      }
    }
    PartialPath.removeAbandoned(path)
  }

  /// Moves the folder to its place, replacing what was there; what was there stays if that fails.
  package func finish() throws(FileError) {
    precondition(!isFinished, "\(path): finished twice")
    try Folder.synchronizeTree(temporary, for: path)
    let replaces = FileManager.default.fileExists(atPath: path)
    if replaces { try exchange() } else { try move(temporary, path) }
    do throws(FileError) {
      try Synchronization.folder((path as NSString).deletingLastPathComponent, for: path)
    } catch {
      // Nobody knows which of both the disk has: as it was, then.
      if replaces { try exchange() } else { try move(path, temporary) }
      throw error
    }
    isFinished = true
    if replaces { Self.discard(temporary) }
  }

  /// Puts the folder and what stands in its place each under the other's name.
  private func exchange() throws(FileError) {
    // There is a folder under the name at every instant, where the file system can.
    if sd_exchange(temporary, path) == 0 { return }
    guard errno == EINVAL || errno == ENOSYS else { throw .lastFailure(writing: path) }
    let old = temporary + Self.oldSuffix
    try move(path, old)
    do throws(FileError) { try move(temporary, path) } catch {
      rename(old, path)
      throw error
    }
    try move(old, temporary)
  }

  private func move(_ source: String, _ target: String) throws(FileError) {
    guard rename(source, target) == 0 else { throw .lastFailure(writing: path) }
  }
}
