internal import Files
internal import Foundation
internal import Kernels

/// The first 512 bytes of a checkpoint, HDF5's user block: the length and checksum of the rest.
///
///     sdtune checkpoint 1
///     bytes 1234567
///     crc32 1c291ca3
///
/// HDF5 1.10 can be crashed by flipped bits, so nothing is handed to it before this holds.
enum CheckpointSeal {
  static let byteCount = 512
  private static let title = "sdtune checkpoint 1\n"

  /// What must stand in front of a file of this length whose rest has this checksum.
  private static func block(bytes: Int, checksum: CRC32) -> [UInt8] {
    let text = Array("\(title)bytes \(bytes)\ncrc32 \(checksum.text)\n".utf8)
    return text + [UInt8](repeating: 0x20, count: byteCount - 1 - text.count) + [0x0A]
  }

  /// Checks the file in pieces on all cores.
  private static func checksum(of file: MappedFile) -> CRC32 {
    let ranges = (byteCount..<max(byteCount, file.count)).cut(length: 16 << 20)
    let checksums = Parallel.map(ranges.count) { index in
      // A full-size checkpoint is as large as all memory that the run has left.
      defer { file.forget(ranges[index]) }
      return file.withBytes(ranges[index]) { CRC32.of($0) }
    }
    return zip(ranges, checksums).reduce(CRC32()) { sum, next in
      sum.followed(by: next.1, count: next.0.count)
    }
  }

  /// Completes a file that was just written.
  ///
  /// - Parameter name: the file that an error names.
  static func complete(_ path: String, for name: String) throws(FileError) {
    let file = try MappedFile.open(path)
    let bytes = block(bytes: file.count, checksum: checksum(of: file))
    try FileWriter.replaceStart(of: path, with: Data(bytes), for: name)
    guard file.withBytes(0..<byteCount, { $0.elements(as: UInt8.self) }) == bytes else {
      throw .cannotWrite(file: name, reason: "its first block does not read back the same; is the disk sound?")
    }
  }

  static func verify(_ path: String) throws(FileError) {
    let file = try MappedFile.open(path)
    guard file.count >= byteCount else {
      throw .incomplete(
        file: path, expected: "at least \(byteCount) bytes", found: "\(file.count) bytes")
    }
    let found = file.withBytes(0..<byteCount) { bytes in bytes.elements(as: UInt8.self) }
    guard found.starts(with: title.utf8) else {
      throw .malformed(
        file: path, expected: "a checkpoint that starts with '\(title.dropLast())'",
        found: "other bytes")
    }
    let lines = String(decoding: found, as: UTF8.self).split(separator: "\n")
    guard lines.count >= 3, lines[1].hasPrefix("bytes "), lines[2].hasPrefix("crc32 ") else {
      throw .damaged(file: path, item: "first block", expected: "its three lines", found: "others")
    }
    guard lines[1] == "bytes \(file.count)" else {
      throw .incomplete(file: path, expected: String(lines[1]), found: "\(file.count)")
    }
    let checksum = checksum(of: file)
    guard found == block(bytes: file.count, checksum: checksum) else {
      throw .damaged(
        file: path, item: "file", expected: String(lines[2]), found: checksum.text)
    }
  }
}
