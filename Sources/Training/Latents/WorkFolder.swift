internal import Foundation

/// A folder for work in progress that one process has to itself; what holds nothing when it is let go of is deleted.
final class WorkFolder: Sendable {
  let path: String
  private let lock: FileLock

  private static let lockName = "lock"

  /// - Parameter busy: what to say when another process has it.
  init(_ path: String, busy: String) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    lock = try FileLock("\(path)/\(Self.lockName)", busy: busy)
  }

  deinit {
    let files = FileManager.default
    guard let contents = try? files.contentsOfDirectory(atPath: path), contents.allSatisfy({ $0 == Self.lockName })
    else {
      return
    }
    try? files.removeItem(atPath: path)
  }
}
