package import Files
internal import Foundation
package import Kernels

/// An HDF5 file that is being written, item after item; a dataset may come row by row and be larger than memory.
///
/// What was written is remembered by its checksums, and compared with what the library reads of the closed file: a write
/// that failed inside of the library need not fail anywhere else.
package struct HDF5Writer: ~Copyable {
  /// The file that errors name.
  private let name: String
  private let handle: HDF5.Handle
  private let written = Written()

  /// Checksums of arrays and values of attributes, by item.
  private final class Written {
    var arrays: [String: CRC32] = [:]
    var attributes: [String: [String: AttributeValue]] = [:]
  }

  /// - Parameters:
  ///   - path: where the bytes go.
  ///   - name: the file that errors name.
  ///   - userBlock: bytes in front that the format leaves to the program.
  init(_ path: String, for name: String, userBlock: Int) throws(FileError) {
    self.name = name
    do { handle = try HDF5.create(path, userBlock: userBlock) } catch {
      throw .cannotWrite(file: name, reason: error.reason)
    }
  }

  /// Groups on the way to an item, which must not be there yet.
  package func createGroup(_ group: String) throws(FileError) {
    try reporting { () throws(HDF5.Failure) in try HDF5.createGroup(group, in: handle) }
  }

  package func setAttribute(_ name: String, _ value: AttributeValue, of item: String = "/") throws(FileError) {
    try reporting { () throws(HDF5.Failure) in try HDF5.setAttribute(name, value, of: item, in: handle) }
    written.attributes[item, default: [:]][name] = value
  }

  package func write(_ dataset: String, _ array: CheckpointArray) throws(FileError) {
    try write(dataset, array, checksum: array.checksum)
  }

  /// - Parameter checksum: of the array's bytes.
  func write(_ dataset: String, _ array: CheckpointArray, checksum: CRC32) throws(FileError) {
    try reporting { () throws(HDF5.Failure) in
      try array.withRawSpan { (bytes) throws(HDF5.Failure) in
        try HDF5.write(dataset, in: handle, shape: array.shape, element: array.element, from: bytes)
      }
    }
    array.letGo()
    written.arrays[dataset] = checksum
  }

  /// A dataset of floats whose rows are written one by one.
  package func createRows(_ dataset: String, shape: [Int]) throws(FileError) {
    try reporting { () throws(HDF5.Failure) in
      try HDF5.createRows(dataset, in: handle, shape: shape, element: .float32)
    }
    written.arrays[dataset] = CRC32()
  }

  /// Rows come in order, each once.
  package func writeRow(_ dataset: String, _ row: Int, _ values: Buffer) throws(FileError) {
    try reporting { () throws(HDF5.Failure) in
      try values.withSpan { (span) throws(HDF5.Failure) in
        try HDF5.writeRows(dataset, row..<row + 1, in: handle, element: .float32, from: span.bytes)
      }
    }
    values.withSpan { written.arrays[dataset]?.update($0.bytes) }
  }

  private func reporting(_ body: () throws(HDF5.Failure) -> Void) throws(FileError) {
    do throws(HDF5.Failure) { try body() } catch {
      throw .cannotWrite(file: name, reason: error.reason)
    }
  }

  /// Closes the file and reads it back.
  ///
  /// - Parameter path: where the bytes went.
  consuming func finish(_ path: String) throws(FileError) {
    let (name, written) = (name, written)
    do throws(HDF5.Failure) { try handle.finishFile() } catch {
      throw .cannotWrite(file: name, reason: error.reason)
    }
    do throws(FileError) {
      let file = try HDF5File(trusting: path)
      for (item, attributes) in written.attributes where try file.attributes(of: item) != attributes {
        throw .damaged(file: path, item: item, expected: "its attributes", found: "others")
      }
      for (dataset, checksum) in written.arrays {
        let found = try file.checksum(of: dataset)
        guard found == checksum else {
          throw .damaged(file: path, item: dataset, expected: checksum.text, found: found.text)
        }
      }
    } catch {
      throw .cannotWrite(
        file: name, reason: "what was written does not read back the same (\(error)); is the disk sound?")
    }
  }
}

extension HDF5File {
  /// Of an array's bytes in memory, read a piece at a time.
  fileprivate func checksum(of dataset: String) throws(FileError) -> CRC32 {
    let (shape, element, _) = try extent(of: dataset)
    let count = shape.reduce(1, *)
    guard count > 0 else { return CRC32() }
    let (rows, rowCount) = shape.isEmpty ? (1, 1) : (shape[0], count / shape[0])
    let most = max(1, (64 << 20) / (rowCount * element.byteCount))
    var bytes = [UInt8](repeating: 0, count: min(rows, most) * rowCount * element.byteCount)
    var checksum = CRC32()
    for start in stride(from: 0, to: rows, by: most) {
      let piece = start..<min(rows, start + most)
      try reporting(dataset) { () throws(HDF5.Failure) in
        if piece.count == rows {
          try HDF5.read(dataset, in: handle, as: element, into: &bytes)
        } else {
          try HDF5.readRows(dataset, piece, in: handle, as: element, into: &bytes)
        }
      }
      checksum.update(bytes.span.bytes.extracting(0..<piece.count * rowCount * element.byteCount))
    }
    return checksum
  }
}

/// HDF5 files that appear under their names when they are whole.
package enum HDF5RowFile {
  /// Replaces a file; whatever goes wrong, the old one stays whole.
  package static func write(to path: String, _ body: (borrowing HDF5Writer) throws -> Void) throws {
    var failure: (any Error)?
    do {
      try AtomicFile(path: path).write { (temporary) throws(FileError) in
        let writer = try HDF5Writer(temporary, for: path, userBlock: 0)
        do { try body(writer) } catch {
          failure = error
          throw .cannotWrite(file: path, reason: "\(error)")
        }
        try writer.finish(temporary)
      }
    } catch {
      throw failure ?? error
    }
  }
}
