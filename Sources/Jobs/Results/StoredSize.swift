internal import Foundation

/// What files take.
enum StoredSize {
  /// Of a file, or of all files in a folder; of links what they lead to, as in a Hugging Face cache.
  static func bytes(of path: String) throws -> Int {
    let target = URL(filePath: path).resolvingSymlinksInPath().path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: target, isDirectory: &isFolder), isFolder.boolValue else {
      return try bytes(ofFile: target)
    }
    return try FileManager.default.subpathsOfDirectory(atPath: target).reduce(0) { sum, name in
      // A link may lead nowhere.
      sum + ((try? bytes(ofFile: URL(filePath: "\(target)/\(name)").resolvingSymlinksInPath().path)) ?? 0)
    }
  }

  private static func bytes(ofFile path: String) throws -> Int {
    let facts = try FileManager.default.attributesOfItem(atPath: path)
    return facts[.type] as? FileAttributeType == .typeRegular ? facts[.size] as? Int ?? 0 : 0
  }
}
