internal import Foundation

/// Where a file or folder is written before it takes its place: beside it, with this process's number in its name.
package enum PartialPath {
  private static let suffix = ".partial-"

  package static func own(_ path: String) -> String { "\(path)\(suffix)\(ProcessInfo.processInfo.processIdentifier)" }

  /// What writers of `path` left that were killed: their numbers belong to no process any more.
  ///
  /// - Parameter ending: what stands behind the number.
  package static func abandoned(_ path: String, ending: String = "") -> [String] {
    let place = URL(filePath: path)
    let prefix = place.lastPathComponent + suffix
    let folder = place.deletingLastPathComponent().path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { name in
      guard name.hasPrefix(prefix), name.hasSuffix(ending) else { return false }
      guard let process = pid_t(name.dropFirst(prefix.count).dropLast(ending.count)) else { return false }
      return kill(process, 0) != 0 && errno == ESRCH
    }.map { "\(folder)/\($0)" }
  }

  /// Removes what killed writers of `path` left.
  package static func removeAbandoned(_ path: String) {
    for left in abandoned(path) { try? FileManager.default.removeItem(atPath: left) }
  }
}
