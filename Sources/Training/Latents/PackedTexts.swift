internal import Checkpoints
internal import Files

/// Many texts as two arrays of a file: their bytes one behind the other, and where each ends.
enum PackedTexts {
  static func arrays(_ texts: [String]) -> (bytes: CheckpointArray, ends: CheckpointArray) {
    var bytes: [UInt8] = []
    var ends: [Int] = []
    for text in texts {
      bytes += text.utf8
      ends.append(bytes.count)
    }
    return (
      CheckpointArray(shape: [bytes.count], .bytes(bytes)), CheckpointArray(shape: [ends.count], .integers(ends))
    )
  }

  /// - Throws: if the ends do not ascend to the number of bytes.
  static func read(_ name: String, _ file: borrowing HDF5File) throws(FileError) -> [String] {
    let ends = try file.integers(name + "_ends").values
    guard !ends.isEmpty else { return [] }
    let bytes = try file.bytes(name + "_bytes").values
    var texts: [String] = []
    texts.reserveCapacity(ends.count)
    var start = 0
    for end in ends {
      guard end >= start, end <= bytes.count else {
        throw .malformedItem(
          file: file.path, item: name + "_ends", expected: "ascending to \(bytes.count)", found: "\(end)")
      }
      texts.append(String(decoding: bytes[start..<end], as: UTF8.self))
      start = end
    }
    return texts
  }
}

extension HDF5Writer {
  func write(_ name: String, texts: [String]) throws(FileError) {
    let (bytes, ends) = PackedTexts.arrays(texts)
    if bytes.count > 0 { try write(name + "_bytes", bytes) }
    try write(name + "_ends", ends)
  }
}
