import Foundation
import Kernels
import Testing

/// Limits of control groups, from folders as Linux has them.
@Suite struct MemoryLimitTests {
  private func withGroups(_ files: [String: String], _ body: (String) throws -> Void) throws {
    let root = NSTemporaryDirectory() + "sdtune-groups-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    for (name, text) in files {
      let path = URL(filePath: "\(root)/\(name)")
      try FileManager.default.createDirectory(at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: path)
    }
    try body(root)
  }

  @Test func secondVersion() throws {
    let files = [
      "memory.max": "max\n", "slurm/memory.max": "8589934592\n", "slurm/job_7/memory.max": "4294967296\n",
      "other/memory.max": "1\n",
    ]
    try withGroups(files) { root in
      let limits = MemoryLimit.controlGroups("0::/slurm/job_7\n", root: root)
      #expect(limits.map(\.bytes) == [4_294_967_296, 8_589_934_592])
      #expect(limits[0].source.hasSuffix("/slurm/job_7"))
    }
  }

  @Test func firstVersion() throws {
    let files = [
      "memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/docker/a/memory.limit_in_bytes": "2147483648\n",
    ]
    try withGroups(files) { root in
      let lines = "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\nrubbish\n"
      #expect(MemoryLimit.controlGroups(lines, root: root).map(\.bytes) == [2_147_483_648])
    }
  }

  @Test func current() {
    #expect(MemoryLimit.current.bytes > 0)
    #expect(MemoryLimit.current.bytes <= Int(ProcessInfo.processInfo.physicalMemory))
  }
}
