package import Files
internal import Foundation

/// Checkpoints on the disk: HDF5 behind a block of text that vouches for every byte.
///
/// The layout is described in `docs/checkpoint-format.md`.
package enum CheckpointFile {
  private static let formatName = "sdtune-checkpoint"
  private static let formatVersion = 1
  private static let reservedPrefix = "checkpoint."
  private static let checksumAttribute = "crc32"
  /// Deeper groups come from no writer of ours.
  private static let deepestGroup = 16

  // MARK: Writing

  /// Replaces the file with these contents; whatever goes wrong, the old file stays whole.
  ///
  /// Equal contents give equal bytes.
  ///
  /// - Precondition: paths have no empty part and no part `.`, and none leads through an array.
  package static func write(
    _ contents: CheckpointContents, to path: String
  ) throws(FileError) {
    try check(contents, path)
    let checksums = contents.checksums()
    try checkSpace(for: contents, path)
    try AtomicFile(path: path).write { (temporary) throws(FileError) in
      try writeHDF5(contents, checksums, to: temporary, for: path)
      try CheckpointSeal.complete(temporary, for: path)
    }
  }

  private static func check(
    _ contents: CheckpointContents, _ path: String
  ) throws(FileError) {
    for name in contents.arrays.keys {
      let parts = name.split(separator: "/", omittingEmptySubsequences: false)
      precondition(
        parts.allSatisfy { !$0.isEmpty && $0 != "." && !$0.utf8.contains(0) }
          && parts.count < deepestGroup,
        "checkpoint: an array named '\(name)'")
    }
    for (name, value) in contents.attributes {
      precondition(
        !name.isEmpty && !name.hasPrefix(reservedPrefix) && !name.utf8.contains(0),
        "checkpoint: an attribute named '\(name)'")
      if case .string(let text) = value, text.utf8.contains(0) {
        throw .cannotWrite(file: path, reason: "attribute \(name) contains a zero byte")
      }
    }
  }

  /// Refuses early what cannot end well; writing checks again.
  private static func checkSpace(
    for contents: CheckpointContents, _ path: String
  ) throws(FileError) {
    let needed = contents.arrays.values.reduce(0) { $0 + $1.count * $1.element.byteCount }
    let folder = (path as NSString).deletingLastPathComponent
    var status = statvfs()
    guard statvfs(folder.isEmpty ? "." : folder, &status) == 0 else { return }
    let free = Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
    guard needed <= free else {
      throw .cannotWrite(
        file: path,
        reason: "No space left on device: \(needed) bytes needed beside the previous file, "
          + "\(free) free")
    }
  }

  private static func writeHDF5(
    _ contents: CheckpointContents, _ checksums: [CRC32], to temporary: String, for path: String
  ) throws(FileError) {
    let file = try HDF5Writer(temporary, for: path, userBlock: CheckpointSeal.byteCount)
    var groups: Set<Substring> = []
    for (name, checksum) in zip(contents.orderedNames, checksums) {
      for slash in name.indices where name[slash] == "/" {
        if groups.insert(name[..<slash]).inserted { try file.createGroup(String(name[..<slash])) }
      }
      try file.write(name, contents.arrays[name]!, checksum: checksum)
      try file.setAttribute(checksumAttribute, .string(checksum.text), of: name)
    }
    // Last, so that a file with these is a file with everything.
    var attributes = contents.attributes
    attributes["checkpoint.format"] = .string(formatName)
    attributes["checkpoint.version"] = .integer(formatVersion)
    attributes["checkpoint.arrays"] = .integer(checksums.count)
    attributes["checkpoint.crc32"] = .string(contents.manifestChecksum(checksums).text)
    for (name, value) in attributes.sorted(by: { $0.key < $1.key }) { try file.setAttribute(name, value) }
    try file.finish(temporary)
  }

  // MARK: Reading

  /// Reads everything and checks every byte and every array.
  ///
  /// - Parameter scratch: where large arrays of floats and bytes are kept; nil for memory.
  package static func read(
    from path: String, keepingIn scratch: ScratchFile? = nil
  ) throws(FileError) -> CheckpointContents {
    try CheckpointSeal.verify(path)
    let file = try HDF5File(reading: path)
    var contents = CheckpointContents(attributes: try file.attributes())
    let marker = contents.attributes.filter { $0.key.hasPrefix(reservedPrefix) }
    for name in marker.keys { contents.attributes[name] = nil }
    try expect(.string(formatName), "checkpoint.format", marker, path)
    try expect(.integer(formatVersion), "checkpoint.version", marker, path)
    var written: [String: AttributeValue] = [:]
    try readGroup("", of: file, into: &contents, checksums: &written, scratch, depth: 0)
    try expect(.integer(contents.arrays.count), "checkpoint.arrays", marker, path)
    let checksums = contents.checksums()
    for (name, checksum) in zip(contents.orderedNames, checksums) {
      guard written[name] == .string(checksum.text) else {
        throw .damaged(
          file: path, item: name, expected: text(of: written[name]), found: checksum.text)
      }
    }
    try expect(
      .string(contents.manifestChecksum(checksums).text), "checkpoint.crc32", marker, path)
    return contents
  }

  /// Reads the arrays below a group, named relative to the root.
  private static func readGroup(
    _ group: String, of file: borrowing HDF5File, into contents: inout CheckpointContents,
    checksums: inout [String: AttributeValue], _ scratch: ScratchFile?, depth: Int
  ) throws(FileError) {
    guard depth < deepestGroup else {
      throw .malformedItem(
        file: file.path, item: group, expected: "groups at most \(deepestGroup) deep",
        found: "deeper ones")
    }
    for name in try file.datasets(in: "/" + group) {
      let path = group.isEmpty ? name : "\(group)/\(name)"
      let array = try readArray(path, of: file)
      contents.arrays[path] = if let scratch { try array.kept(in: scratch) } else { array }
      checksums[path] = try file.attributes(of: path)[checksumAttribute]
    }
    for name in try file.groups(in: "/" + group) {
      try readGroup(
        group.isEmpty ? name : "\(group)/\(name)", of: file, into: &contents,
        checksums: &checksums, scratch, depth: depth + 1)
    }
  }

  private static func readArray(
    _ path: String, of file: borrowing HDF5File
  ) throws(FileError) -> CheckpointArray {
    switch try file.element(of: path) {
    case .float32:
      let (shape, buffer) = try file.floats(path)
      return CheckpointArray(buffer, shape: shape)
    case .float64:
      let (shape, values) = try file.doubles(path)
      return CheckpointArray(shape: shape, .doubles(values))
    case .int64:
      let (shape, values) = try file.integers(path)
      return CheckpointArray(shape: shape, .integers(values))
    case .uint8:
      let (shape, values) = try file.bytes(path)
      return CheckpointArray(shape: shape, .bytes(values))
    }
  }

  private static func expect(
    _ value: AttributeValue, _ name: String, _ attributes: [String: AttributeValue],
    _ path: String
  ) throws(FileError) {
    guard attributes[name] == value else {
      throw .incomplete(
        file: path, expected: "\(name) \(text(of: value))",
        found: text(of: attributes[name]))
    }
  }

  private static func text(of value: AttributeValue?) -> String {
    switch value {
    case .string(let text): text
    case .integer(let number): "\(number)"
    case .double(let number): "\(number)"
    case nil: "none"
    }
  }
}
