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

  package var hasCheckpoint: Bool { FileManager.default.fileExists(atPath: checkpoint) }

  package func create() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
}
