internal import Checkpoints
internal import Files
internal import Foundation
internal import Recipes

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

  /// Names the newest checkpoint by its step, too, and removes earlier ones that are not to stay.
  ///
  /// - Parameter losses: of all steps so far.
  func keep(step: Int, losses: [Double], _ training: TrainingRecipe) throws {
    guard training.keepLast > 1 || training.keepBest > 0 else { return }
    let name = self.path + String(format: "/state-%08d.h5", step)
    unlink(name)
    // A second name costs nothing; another file system takes none.
    if link(checkpoint, name) != 0 { try FileCopy.copy(checkpoint, to: name) }
    func score(_ step: Int) -> Double {
      let steps = losses[max(0, step - training.checkpointEvery)..<min(step, losses.count)]
      return steps.reduce(0, +) / Double(max(1, steps.count))
    }
    let all = keptSteps
    let best = all.sorted { (score($0), -$0) < (score($1), -$1) }.prefix(training.keepBest)
    for step in all where !all.suffix(training.keepLast).contains(step) && !best.contains(step) {
      unlink(self.path + String(format: "/state-%08d.h5", step))
    }
  }

  /// Steps of the checkpoints that have names of their own, ascending.
  private var keptSteps: [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.compactMap { $0.wholeMatch(of: /state-(\d{8})\.h5/).flatMap { Int($0.1) } }.sorted()
  }

  /// The newest of the checkpoints of fewer steps that have names of their own.
  func keptCheckpoint(before step: Int) -> String? {
    keptSteps.last { $0 < step }.map { path + String(format: "/state-%08d.h5", $0) }
  }

  /// The newest of the checkpoints that have names of their own, but the one that a run goes on from.
  var olderCheckpoint: String? {
    let newest = try? FileManager.default.attributesOfItem(atPath: checkpoint)[.systemFileNumber] as? Int
    return keptSteps.reversed().lazy.map { path + String(format: "/state-%08d.h5", $0) }.first { name in
      let number = try? FileManager.default.attributesOfItem(atPath: name)[.systemFileNumber] as? Int
      return number != newest
    }
  }

  /// Keeps other runs out of the folder for as long as the result lives.
  package func claim() throws -> FileLock {
    try create()
    return try FileLock(
      path + "/.lock", busy: "\(path): another run writes here: wait for it, or choose another --output")
  }
}
