internal import Checkpoints
internal import Foundation

/// Where a run keeps its files.
package struct RunFolder: Sendable {
  package let path: String

  package init(_ path: String) { self.path = path }

  package var checkpoint: String { path + "/state.h5" }
  package var package: String { path + "/Unet.mlpackage" }
  package var report: String { path + "/report.json" }
  package var page: String { path + "/report.html" }
  package var log: String { path + "/log.jsonl" }
  package var teacherLatents: String { path + "/teacher-latents" }

  package var hasCheckpoint: Bool { FileManager.default.fileExists(atPath: checkpoint) }

  package func create() throws {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw TrainingError.folder(
        path, reason: "cannot be created: is there a file of that name, or may you not write there?")
    }
  }

  /// Renames the checkpoint of a run that did not finish, so that a new run does not replace it.
  ///
  /// - Returns: a line that says where it is now; nil if there is none.
  package func setAside() throws -> String? {
    guard hasCheckpoint else { return nil }
    let attributes = try? HDF5File(reading: checkpoint).attributes()
    guard attributes?["finished"] != .integer(1) else { return nil }
    let names = (1...).lazy.map { self.path + ($0 == 1 ? "/state-unfinished.h5" : "/state-unfinished-\($0).h5") }
    guard let kept = names.first(where: { !FileManager.default.fileExists(atPath: $0) }) else { return nil }
    guard rename(checkpoint, kept) == 0 else {
      throw TrainingError.folder(path, reason: String(cString: strerror(errno)))
    }
    return "the checkpoint of an unfinished run was here: kept as \(kept); --resume would have gone on with it"
  }

  /// Keeps other runs out of the folder for as long as the result lives.
  package func claim() throws -> FileLock {
    try create()
    return try FileLock(
      path + "/.lock", busy: "\(path): another run writes here: wait for it, or choose another --output")
  }
}
