internal import Foundation

/// A zip archive of Core ML models, unpacked into a folder beside it.
package struct UnpackedArchive {
  /// Where the archive's contents lie: `NAME.zip.unpacked` beside it.
  package let folder: String
  private let archive: String
  /// Tells one state of the archive from another.
  private let state: String

  private static let mark = ".archive"
  private static let mostEntries = 100_000
  /// No model becomes so much smaller in an archive.
  private static let largestRatio = 100

  /// - Parameter path: any file.
  /// - Returns: nil of everything but a zip archive with a package or a compiled model in it.
  package init?(_ path: String) throws(ArchiveError) {
    guard let file = FileHandle(forReadingAtPath: path), (try? file.read(upToCount: 4)) == Data([0x50, 0x4B, 3, 4]),
      let facts = try? FileManager.default.attributesOfItem(atPath: path),
      let size = facts[.size] as? Int, let date = facts[.modificationDate] as? Date
    else { return nil }
    archive = path
    folder = path + ".unpacked"
    state = "\(size) \(date.timeIntervalSince1970)\n"
    guard try Self.holdsModels(path) else { return nil }
  }

  private static func holdsModels(_ path: String) throws(ArchiveError) -> Bool {
    let archive = try ArchiveReader(path)
    while let entry = try archive.next() {
      let parts = entry.name.split(separator: "/")
      guard let name = parts.last, !parts.contains("__MACOSX") else { continue }
      if ["Manifest.json", "coremldata.bin", "model.mil"].contains(name) { return true }
    }
    return false
  }

  /// Whether the folder is there and made of this very archive.
  package var isCurrent: Bool {
    (try? String(contentsOfFile: "\(folder)/\(Self.mark)", encoding: .utf8)) == state
  }

  /// Unpacks, unless that was done before.
  ///
  /// - Returns: the model in the archive, or the folder of several.
  package func unpacked() throws(ArchiveError) -> String {
    if !isCurrent {
      let partial = "\(folder).partial-\(ProcessInfo.processInfo.processIdentifier)"
      defer { try? FileManager.default.removeItem(atPath: partial) }
      try unpack(into: partial)
      do {
        try Data(state.utf8).write(to: URL(filePath: "\(partial)/\(Self.mark)"))
        let isOurs = FileManager.default.fileExists(atPath: "\(folder)/\(Self.mark)")
        if isOurs { try FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.moveItem(atPath: partial, toPath: folder)
      } catch {
        // Another process may have been faster.
        guard isCurrent else { throw failure("cannot be unpacked to \(folder): \(error.localizedDescription)") }
      }
    }
    return Self.contents(of: folder)
  }

  /// Inside of folders that hold one folder and nothing else.
  private static func contents(of folder: String) -> String {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
      .filter { !$0.hasPrefix(".") && $0 != "__MACOSX" }
    var isFolder: ObjCBool = false
    guard names.count == 1, FileManager.default.fileExists(atPath: "\(folder)/\(names[0])", isDirectory: &isFolder),
      isFolder.boolValue
    else { return folder }
    return contents(of: "\(folder)/\(names[0])")
  }

  private func unpack(into target: String) throws(ArchiveError) {
    let reader = try ArchiveReader(archive)
    var names: Set<String> = []
    let size = (try? FileManager.default.attributesOfItem(atPath: archive)[.size] as? Int) ?? 0
    var room = size * Self.largestRatio
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    try make(target)
    while let entry = try reader.next() {
      let parts = entry.name.split(separator: "/", omittingEmptySubsequences: false)
      let path = entry.isFolder && parts.last == "" ? parts.dropLast() : parts[...]
      guard !path.isEmpty, path.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." && !$0.utf8.contains(0) }) else {
        throw failure("entry '\(entry.name.prefix(200))' may leave the archive; unpack it by hand if you trust it")
      }
      let place = "\(target)/\(path.joined(separator: "/"))"
      if entry.isFolder {
        try make(place)
        continue
      }
      guard entry.isFile else {
        throw failure("entry '\(entry.name.prefix(200))' is a link; expected files and folders")
      }
      guard names.insert(place).inserted, names.count <= Self.mostEntries else {
        throw failure("entry '\(entry.name.prefix(200))' is there twice, or one of more than \(Self.mostEntries)")
      }
      try make((place as NSString).deletingLastPathComponent)
      guard FileManager.default.createFile(atPath: place, contents: nil), let file = FileHandle(forWritingAtPath: place)
      else { throw failure("\(place) cannot be created") }
      while true {
        let count = try reader.read(into: &piece)
        guard count > 0 else { break }
        room -= count
        guard room >= 0 else { throw failure("more than \(Self.largestRatio) times its size when unpacked") }
        do { try file.write(contentsOf: piece[..<count]) } catch {
          throw failure("\(place) cannot be written: \(error.localizedDescription)")
        }
      }
      do { try file.close() } catch { throw failure("\(place) cannot be written: \(error.localizedDescription)") }
    }
  }

  private func make(_ folder: String) throws(ArchiveError) {
    do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
      throw failure("\(folder) cannot be created: \(error.localizedDescription)")
    }
  }

  private func failure(_ reason: String) -> ArchiveError { ArchiveError(path: archive, reason: reason) }
}
