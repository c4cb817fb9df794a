internal import Files
internal import Foundation

/// A folder that is written beside its destination and takes its place by one rename.
///
/// One that is dropped unfinished leaves nothing behind.
final class StagedFolder {
  /// Where the folder will be.
  let path: String
  /// Where it is written.
  let temporary: String
  private var isFinished = false

  /// Of a folder that steps aside.
  private static let oldSuffix = "-old"

  /// - Parameters:
  ///   - path: nothing but an empty folder or one that is known is ever replaced.
  ///   - kind: what a known folder is, in words.
  ///   - isKnown: whether a folder with these files is one.
  init(_ path: String, kind: String, isKnown: ([String]) -> Bool) throws(MILError) {
    self.path = path
    let files = FileManager.default
    if (try? files.attributesOfItem(atPath: path)) != nil {
      guard let items = try? files.contentsOfDirectory(atPath: path), items.isEmpty || isKnown(items) else {
        throw .file(path: path, reason: "it exists and is no \(kind); choose another name for the output")
      }
    }
    temporary = PartialPath.own(path)
    Self.removeAbandoned(path)
    do {
      try? files.removeItem(atPath: temporary)
      try files.createDirectory(atPath: temporary, withIntermediateDirectories: true)
    } catch {
      throw .file(path: temporary, reason: "cannot be created: \(error.localizedDescription)")
    }
  }

  deinit {
    if !isFinished { try? FileManager.default.removeItem(atPath: temporary) }
  }

  /// Makes a folder inside.
  func createFolder(_ name: String) throws(MILError) {
    let folder = temporary + "/" + name
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw .file(path: folder, reason: "cannot be created: \(error.localizedDescription)")
    }
  }

  /// Removes what writers left behind that were killed. A folder that stepped aside comes back if nothing took its place.
  private static func removeAbandoned(_ path: String) {
    for old in PartialPath.abandoned(path, ending: oldSuffix) {
      if FileManager.default.fileExists(atPath: path) {
        try? FileManager.default.removeItem(atPath: old)
      } else {
        try? FileManager.default.moveItem(atPath: old, toPath: path)
      }
    }
    PartialPath.removeAbandoned(path)
  }

  /// Moves the folder to its place, replacing what was there.
  ///
  /// A folder cannot be renamed over another: the old one steps aside, and comes back if the new one cannot move in.
  func finish() throws {
    precondition(!isFinished, "\(path): finished twice")
    let files = FileManager.default
    if files.fileExists(atPath: path) {
      let old = temporary + Self.oldSuffix
      try files.moveItem(atPath: path, toPath: old)
      do {
        try files.moveItem(atPath: temporary, toPath: path)
      } catch {
        try files.moveItem(atPath: old, toPath: path)
        throw error
      }
      try files.removeItem(atPath: old)
    } else {
      try files.moveItem(atPath: temporary, toPath: path)
    }
    isFinished = true
  }
}
