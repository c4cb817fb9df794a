package import Foundation

/// A folder that is gone when the test is.
package final class ScratchFolder {
  package let path: String

  package init() throws {
    path = NSTemporaryDirectory() + "sdtune-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  package func file(_ name: String) -> String { "\(path)/\(name)" }

  @discardableResult
  package func write(_ name: String, _ bytes: Data) throws -> String {
    try bytes.write(to: URL(filePath: file(name)))
    return file(name)
  }

  @discardableResult
  package func write(_ name: String, _ text: String) throws -> String { try write(name, Data(text.utf8)) }

  /// Names of what is in it, sorted.
  package var contents: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
  }
}

/// Lends the path of a scratch folder, or of the one that `SDTUNE_KEEP_PACKAGES` names: what is left there can be checked
/// by other tools.
package func withScratchFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  if let kept = ProcessInfo.processInfo.environment["SDTUNE_KEEP_PACKAGES"] {
    try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
    return try body(kept)
  }
  let scratch = try ScratchFolder()
  return try withExtendedLifetime(scratch) { try body(scratch.path) }
}
