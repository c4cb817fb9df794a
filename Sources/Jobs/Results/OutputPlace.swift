internal import Foundation

/// Where a result goes, looked at before the work that makes it.
package enum OutputPlace {
  /// - Throws: ``JobError/unwritable(path:reason:)`` if no file can be written there.
  package static func check(_ path: String) throws(JobError) {
    let files = FileManager.default
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    var isFolder: ObjCBool = false
    guard files.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
      throw .unwritable(path: path, reason: "\(folder) is no folder; create it first")
    }
    guard files.isWritableFile(atPath: folder) else {
      throw .unwritable(path: path, reason: "nothing may be written to \(folder)")
    }
    if files.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      throw .unwritable(path: path, reason: "it is a folder; name a file")
    }
  }
}
