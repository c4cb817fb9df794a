internal import Foundation

/// What files take.
enum StoredSize {
  /// Of all files in a folder.
  static func bytes(of folder: String) throws -> Int {
    try FileManager.default.subpathsOfDirectory(atPath: folder).reduce(0) { sum, name in
      let facts = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")
      guard facts[.type] as? FileAttributeType == .typeRegular else { return sum }
      return sum + (facts[.size] as? Int ?? 0)
    }
  }
}
