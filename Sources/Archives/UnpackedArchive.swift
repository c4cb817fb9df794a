internal import Files
internal import Foundation

/// A zip archive of Core ML models, unpacked into a folder beside it.
package struct UnpackedArchive {
  /// Where the archive's contents lie: `NAME.zip.unpacked` beside it.
  package let folder: String
  private let archive: String
  /// In bytes, of the file that a link leads to.
  private let size: Int
  /// Tells one state of the archive from another.
  private let state: String

  private static let mark = ".archive"
  /// Files that packages and compiled models have.
  private static let marks: Set = ["Manifest.json", "coremldata.bin", "model.mil"]
  private static let mostEntries = 100_000
  /// No model becomes so much smaller in an archive, but a small one's text may.
  private static let largestRatio = 100
  private static let alwaysAllowed = 16 << 20

  /// - Parameter path: any file.
  /// - Returns: nil of everything but a zip archive with a package or a compiled model in it.
  package init?(_ path: String) throws(ArchiveError) {
    // Opening a pipe would wait for somebody to write to it.
    let place = URL(filePath: path).resolvingSymlinksInPath().path
    guard let facts = try? FileManager.default.attributesOfItem(atPath: place),
      facts[.type] as? FileAttributeType == .typeRegular, let size = facts[.size] as? Int,
      let date = facts[.modificationDate] as? Date, let file = FileHandle(forReadingAtPath: path),
      (try? file.read(upToCount: 4)) == Data([0x50, 0x4B, 3, 4])
    else { return nil }
    archive = path
    self.size = size
    folder = path + ".unpacked"
    state = "\(size) \(date.timeIntervalSince1970)\n"
    guard try Self.holdsModels(path) else { return nil }
  }

  private static func holdsModels(_ path: String) throws(ArchiveError) -> Bool {
    let archive = try ArchiveReader(path)
    while let entry = try archive.next() {
      let parts = entry.name.split(separator: "/")
      guard let name = parts.last, !parts.contains("__MACOSX") else { continue }
      if marks.contains(String(name)) { return true }
    }
    return false
  }

  /// Whether the folder is there and made of this very archive.
  package var isCurrent: Bool {
    (try? String(contentsOfFile: "\(folder)/\(Self.mark)", encoding: .utf8)) == state
  }

  /// Unpacks, unless that was done before.
  ///
  /// - Parameter anew: whether the archive is read even if that was done before.
  /// - Returns: the model in the archive, or the folder of several.
  package func unpacked(anew: Bool = false) throws -> String {
    if anew || !isCurrent {
      let staged = try StagedFolder(folder, kind: "unpacked archive") { $0.contains(Self.mark) }
      try unpack(into: staged)
      try staged.write(Self.mark, Data(state.utf8))
      try staged.finish()
    }
    return Self.contents(of: folder)
  }

  /// The only model below a folder, or the innermost folder of all of them.
  private static func contents(of folder: String) -> String {
    var models: [[Substring]] = []
    for path in (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? [] {
      let parts = path.split(separator: "/")
      guard let name = parts.last, marks.contains(String(name)), !parts.contains("__MACOSX") else { continue }
      models.append(Array(parts.dropLast()))
    }
    // Files of the same names deeper inside of a model are its own.
    let known = Set(models)
    models = models.filter { model in !model.indices.contains { known.contains(Array(model[..<$0])) } }
    guard var common = models.first else { return folder }
    if Set(models).count > 1 {
      for model in models {
        while !model.dropLast().starts(with: common) { common.removeLast() }
      }
    }
    return ([folder] + common.map(String.init)).joined(separator: "/")
  }

  private func unpack(into target: StagedFolder) throws {
    let reader = try ArchiveReader(archive)
    var names: Set<String> = []
    var count = 0
    var room = Self.alwaysAllowed + size * Self.largestRatio
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    while let entry = try reader.next() {
      let parts = entry.name.split(separator: "/", omittingEmptySubsequences: false)
      let path = (entry.isFolder && parts.last == "" ? parts.dropLast() : parts[...]).filter { $0 != "." }
      count += 1
      guard count <= Self.mostEntries else { throw failure("more than \(Self.mostEntries) entries") }
      if path.isEmpty, entry.isFolder { continue }
      guard !path.isEmpty, path.allSatisfy({ !$0.isEmpty && $0 != ".." && !$0.utf8.contains(0) }) else {
        throw failure("entry '\(entry.name.prefix(200))' may leave the archive; unpack it by hand if you trust it")
      }
      let name = path.joined(separator: "/")
      if entry.isFolder {
        try target.createFolder(name)
        continue
      }
      guard entry.isFile else {
        throw failure("entry '\(entry.name.prefix(200))' is a link; expected files and folders")
      }
      guard names.insert(name).inserted else { throw failure("entry '\(entry.name.prefix(200))' is there twice") }
      try target.createFolder((name as NSString).deletingLastPathComponent)
      let file = try FileWriter("\(target.temporary)/\(name)")
      while true {
        let read = try reader.read(into: &piece)
        guard read > 0 else { break }
        room -= read
        guard room >= 0 else { throw failure("more than \(Self.largestRatio) times its size when unpacked") }
        try file.append(Data(piece[..<read]))
      }
      try file.finish()
    }
  }

  private func failure(_ reason: String) -> ArchiveError { ArchiveError(path: archive, reason: reason) }
}
