internal import Foundation

extension FileManager {
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
