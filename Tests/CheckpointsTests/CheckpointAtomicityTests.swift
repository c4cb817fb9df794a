import Checkpoints
import Foundation
import Kernels
import TestSupport
import Testing

/// A write that fails anywhere leaves the file that was there, and nothing else.
@Suite struct CheckpointAtomicityTests {
  /// The system refuses to let any file grow beyond a limit, at ever later points of the writing.
  @Test func limitedFileSize() async {
    await #expect(processExitsWith: .success) {
      signal(SIGXFSZ, SIG_IGN)
      let scratch = try ScratchFolder()
      let path = scratch.file("state.h5")
      try CheckpointFile.write(sampleContents(), to: path)
      let before = bytes(of: path)
      var failures = 0
      for limit in stride(from: 0, to: before.count + 512, by: 509) {
        setFileSizeLimit(limit)
        let message = message { try CheckpointFile.write(sampleContents(scale: 2), to: path) }
        setFileSizeLimit(nil)
        if let message {
          failures += 1
          precondition(
            message == "\(path): cannot be written: File too large; "
              + "the previous file, if any, is untouched", message)
          precondition(bytes(of: path) == before)
        } else {
          precondition(limit >= before.count)
          try CheckpointFile.write(sampleContents(), to: path)
        }
        let files = try scratch.contents
        precondition(files == ["state.h5"])
      }
      precondition(failures >= before.count / 509)
      precondition(bytes(of: path) == before)
    }
  }

  /// A real full disk, where the machine lets us mount one.
  @Test func fullDisk() async throws {
    await #expect(processExitsWith: .success) {
      let scratch = try ScratchFolder()
      let disk = scratch.file("disk")
      try FileManager.default.createDirectory(
        atPath: disk, withIntermediateDirectories: false)
      guard mount("tmpfs", disk, "tmpfs", 0, "size=512k") == 0 else { return }
      defer { umount2(disk, Int32(MNT_DETACH)) }
      let path = disk + "/state.h5"
      try CheckpointFile.write(sampleContents(), to: path)
      let before = bytes(of: path)
      // Leave page after page less room; the quick check ahead of writing must not be all.
      var failures = 0
      for filler in 0..<(512 / 4) {
        try Data(count: filler * 4096).write(to: URL(fileURLWithPath: disk + "/filler"))
        guard
          let message = message({
            try CheckpointFile.write(sampleContents(scale: 2), to: path)
          })
        else {
          try CheckpointFile.write(sampleContents(), to: path)
          continue
        }
        failures += 1
        precondition(message.contains("No space left on device"), message)
        precondition(!message.contains("\n"), message)
        precondition(bytes(of: path) == before)
        let left = try FileManager.default.contentsOfDirectory(atPath: disk).sorted()
        precondition(left == ["filler", "state.h5"])
        if filler * 4096 + before.count > 500_000 { break }
      }
      precondition(failures > 0)
      try Data().write(to: URL(fileURLWithPath: disk + "/filler"))
      try CheckpointFile.write(sampleContents(scale: 2), to: path)
      _ = try CheckpointFile.read(from: path)
    }
  }

  @Test func hopelesslyLarge() throws {
    let path = "/dev/shm/sdtune-\(UUID().uuidString).h5"
    let free = try FileManager.default.attributesOfFileSystem(forPath: "/dev/shm")
    let bytes = try #require(free[.systemFreeSize] as? NSNumber).intValue
    guard bytes < 200_000_000 else { return }
    let contents = CheckpointContents(arrays: [
      "x": .init(Buffer(repeating: 0, count: bytes / 4 + 1), shape: [bytes / 4 + 1])
    ])
    let message = message { try CheckpointFile.write(contents, to: path) }
    #expect(message?.contains("bytes needed beside the previous file") == true)
    #expect(!FileManager.default.fileExists(atPath: path + ".partial"))
  }
}

/// Limits the size of any file this process writes; nil lifts the limit.
private func setFileSizeLimit(_ bytes: Int?) {
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
  limit.rlim_cur = bytes.map { rlim_t($0) } ?? limit.rlim_max
  setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
}
