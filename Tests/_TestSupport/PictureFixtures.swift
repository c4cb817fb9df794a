package import Foundation
import Testing
package import WeightFiles

/// Pictures, captions and folders with what must be read from them: the folder in `SDTUNE_PICTURES`, or the
/// repository's own set. Any set of the same form can be put in its place (`make pictures PICTURES=DIR`).
package enum PictureFixtures {
  package static let folder: URL = {
    if let path = ProcessInfo.processInfo.environment["SDTUNE_PICTURES"], !path.isEmpty { return URL(filePath: path) }
    return URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "PicturesTests/Fixtures")
  }()

  package static func path(_ name: String) -> String { folder.appending(path: name).path }

  package static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appending(path: name)))
  }

  /// An object of a set's JSON file; a missing file is a failure of the test.
  package static func json(_ name: String) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(bytes(name))) as? [String: Any])
  }

  /// The cases of a set's JSON file, at least one.
  package static func cases(_ name: String, _ key: String = "cases") throws -> [[String: Any]] {
    let cases = try #require(json(name)[key] as? [[String: Any]])
    try #require(!cases.isEmpty, "\(name): no cases")
    return cases
  }

  package static func arrays(_ name: String) throws -> SafetensorsFile { try SafetensorsFile(path: path(name)) }
}

/// Largest difference of two lists of bytes; infinite when the counts differ.
package func largestDifference(_ a: [UInt8], _ b: [UInt8]) -> Double {
  guard a.count == b.count else { return .infinity }
  return Double(zip(a, b).reduce(0) { max($0, abs(Int($1.0) - Int($1.1))) })
}
