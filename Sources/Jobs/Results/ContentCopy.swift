internal import Foundation

extension FileManager {
  /// Puts a copy of a file or folder in the place of what is there; nothing happens if both are the same.
  ///
  /// What was there goes when the copy is complete.
  func replaceContents(atPath target: String, with source: String) throws {
    let files = [source, target].map { URL(filePath: $0).resolvingSymlinksInPath() }
    guard files[0] != files[1] else { return }
    let partial = target + ".partial"
    if fileExists(atPath: partial) { try removeItem(atPath: partial) }
    try copyContents(atPath: source, toPath: partial)
    if fileExists(atPath: target) { try removeItem(atPath: target) }
    try moveItem(atPath: partial, toPath: target)
  }

  /// Copies a file, or a folder with all that is in it, but neither owner nor dates: those of another user's files
  /// cannot be passed on.
  func copyContents(atPath source: String, toPath target: String) throws {
    var isFolder: ObjCBool = false
    guard fileExists(atPath: source, isDirectory: &isFolder), isFolder.boolValue else {
      return try Data(contentsOf: URL(filePath: source), options: .mappedIfSafe).write(to: URL(filePath: target))
    }
    try createDirectory(atPath: target, withIntermediateDirectories: true)
    for item in try contentsOfDirectory(atPath: source).sorted() {
      try copyContents(atPath: "\(source)/\(item)", toPath: "\(target)/\(item)")
    }
  }
}
