internal import Foundation

/// Writes an `.mlpackage`: everything into a temporary folder beside the destination, then one
/// rename.
///
/// Equal models give equal bytes: identifiers are fixed and maps are sorted. A writer that is
/// dropped unfinished leaves nothing behind.
package final class ModelPackageWriter {
  package let path: String
  /// Constants go here while the program is built.
  package let weights: WeightFileWriter
  private let temporary: String
  private var finished = false

  package init(_ path: String) throws(MILError) {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.path = path
    try Self.checkPlace(path)
    temporary = path + Self.suffix + "\(ProcessInfo.processInfo.processIdentifier)"
    Self.removeAbandoned(path)
    do {
      try? FileManager.default.removeItem(atPath: temporary)
      try FileManager.default.createDirectory(
        atPath: temporary + "/Data/com.apple.CoreML/weights", withIntermediateDirectories: true)
    } catch {
      throw .file(path: temporary, reason: "cannot be created: \(error.localizedDescription)")
    }
    weights = try WeightFileWriter(temporary + "/Data/com.apple.CoreML/weights/weight.bin")
  }

  deinit {
    if !finished { try? FileManager.default.removeItem(atPath: temporary) }
  }

  /// Writes the model and moves the package to its place, replacing what was there.
  ///
  /// The metadata gets a digest of the program and the weights, by which
  /// ``ModelPackage/isAsWritten()`` knows the package again.
  package func finish(_ model: Model) throws(MILError) {
    precondition(!finished, "\(path): written twice")
    try weights.finish()
    let hasWeights = weights.recordCount > 0
    let files = FileManager.default
    do {
      var model = model
      model.metadata.userDefined[Metadata.contentKey] = try model.contentDigest(
        weights: hasWeights ? weights.path : nil)
      let data = try model.encoded()
      if !hasWeights {
        try files.removeItem(atPath: temporary + "/Data/com.apple.CoreML/weights")
      }
      try data.write(to: URL(filePath: temporary + "/Data/com.apple.CoreML/model.mlmodel"))
      try Manifest(hasWeights: hasWeights).encoded()
        .write(to: URL(filePath: temporary + "/" + Manifest.fileName))
      try replace()
      finished = true
    } catch {
      throw .file(path: path, reason: "cannot be written: \(error.localizedDescription)")
    }
  }

  private static let suffix = ".partial-"

  /// Of a package that steps aside.
  private static let oldSuffix = "-old"

  /// Removes what writers left behind that were killed: their numbers belong to no process any more. A package that
  /// stepped aside comes back if nothing took its place.
  private static func removeAbandoned(_ path: String) {
    let place = URL(filePath: path)
    let prefix = place.lastPathComponent + suffix
    let folder = place.deletingLastPathComponent().path
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where name.hasPrefix(prefix) {
      let isOld = name.hasSuffix(oldSuffix)
      let number = name.dropFirst(prefix.count).dropLast(isOld ? oldSuffix.count : 0)
      guard let process = pid_t(number), kill(process, 0) != 0, errno == ESRCH else { continue }
      let left = folder + "/" + name
      if isOld, !FileManager.default.fileExists(atPath: path) {
        try? FileManager.default.moveItem(atPath: left, toPath: path)
      } else {
        try? FileManager.default.removeItem(atPath: left)
      }
    }
  }

  /// Nothing but a package, whole or damaged, or an empty folder is ever replaced.
  private static func checkPlace(_ path: String) throws(MILError) {
    let files = FileManager.default
    guard (try? files.attributesOfItem(atPath: path)) != nil else { return }
    let items = try? files.contentsOfDirectory(atPath: path)
    let isDamaged = items == ["Data"] && path.hasSuffix(".mlpackage")
    guard let items, items.isEmpty || isDamaged || items.contains(Manifest.fileName) else {
      throw .file(path: path, reason: "it exists and is no package; choose another name for the output")
    }
  }

  /// A folder cannot be renamed over another: the old one steps aside, and comes back if the new
  /// one cannot move in.
  private func replace() throws {
    let files = FileManager.default
    guard files.fileExists(atPath: path) else {
      return try files.moveItem(atPath: temporary, toPath: path)
    }
    let old = temporary + Self.oldSuffix
    try files.moveItem(atPath: path, toPath: old)
    do {
      try files.moveItem(atPath: temporary, toPath: path)
    } catch {
      try files.moveItem(atPath: old, toPath: path)
      throw error
    }
    try files.removeItem(atPath: old)
  }
}
