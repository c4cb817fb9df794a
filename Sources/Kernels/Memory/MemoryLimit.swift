internal import Foundation

/// How much memory this process may have.
package struct MemoryLimit: Sendable, Equatable {
  package let bytes: Int
  /// Who sets the limit, in words.
  package let source: String

  /// The least of the machine's memory, the limits of the control groups that hold this process (versions 1 and 2), and
  /// `ulimit -v`.
  package static let current: MemoryLimit = {
    var limits = [MemoryLimit(bytes: Int(clamping: ProcessInfo.processInfo.physicalMemory), source: "this machine")]
    let groups = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
    limits += controlGroups(groups, root: "/sys/fs/cgroup")
    var space = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &space) == 0, space.rlim_cur != rlim_t.max {
      limits.append(MemoryLimit(bytes: Int(clamping: space.rlim_cur), source: "ulimit -v"))
    }
    return limits.min { $0.bytes < $1.bytes }!
  }()

  /// The limits of a process's control groups and of all above them.
  ///
  /// - Parameters:
  ///   - groups: `/proc/<process>/cgroup`: a line `number:controllers:path` for each hierarchy.
  ///   - root: where the hierarchies are mounted.
  package static func controlGroups(_ groups: String, root: String) -> [MemoryLimit] {
    groups.split(separator: "\n").flatMap { line -> [MemoryLimit] in
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { return [] }
      let isUnified = parts[1].isEmpty
      guard isUnified || parts[1].split(separator: ",").contains("memory") else { return [] }
      let file = isUnified ? "memory.max" : "memory.limit_in_bytes"
      var path = parts[2].split(separator: "/").map(String.init)
      var limits: [MemoryLimit] = []
      while true {
        let folder = ([root] + (isUnified ? [] : ["memory"]) + path).joined(separator: "/")
        // `max`, or a number close to the largest, is no limit.
        if let text = try? String(contentsOfFile: "\(folder)/\(file)", encoding: .utf8),
          let bytes = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)), bytes < 1 << 60
        {
          limits.append(MemoryLimit(bytes: bytes, source: "the control group \(folder)"))
        }
        guard path.popLast() != nil else { return limits }
      }
    }
  }
}
