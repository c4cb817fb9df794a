internal import Foundation

/// What files take.
enum StoredSize {
  /// Of a file, or of all files in a folder.
  static func bytes(of folder: String) throws -> Int {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), !isFolder.boolValue {
      return try FileManager.default.attributesOfItem(atPath: folder)[.size] as? Int ?? 0
    }
    return try FileManager.default.subpathsOfDirectory(atPath: folder).reduce(0) { sum, name in
      let facts = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")
      guard facts[.type] as? FileAttributeType == .typeRegular else { return sum }
      return sum + (facts[.size] as? Int ?? 0)
    }
  }
}
