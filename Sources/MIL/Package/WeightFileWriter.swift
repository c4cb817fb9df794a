internal import Files
package import Foundation
internal import Kernels

/// Writes a `weight.bin` record by record; a constant that was written before is stored once.
package final class WeightFileWriter {
  package let path: String
  private let file: FileWriter
  private var end: UInt64 = 64
  private(set) package var recordCount: UInt32 = 0
  /// Offsets of the records with the same type, size and checksum.
  private var known: [Key: [UInt64]] = [:]

  private struct Key: Hashable {
    let type: DataType
    let size: Int
    let checksum: UInt64
  }

  /// - Parameters:
  ///   - path: where the file is written.
  ///   - name: the file that errors name, where that is another one.
  package init(_ path: String, for name: String? = nil) throws(MILError) {
    self.path = path
    file = try MILError.writing { () throws(FileError) in try FileWriter(path, for: name) }
    try write(Self.header(count: 0), at: 0)
  }

  /// Stores a constant.
  ///
  /// - Parameters:
  ///   - bytes: the elements, little-endian and, below a byte, packed least significant bits first
  ///   - count: how many elements they are
  /// - Returns: the record's offset, which a program names.
  package func append(_ type: DataType, _ bytes: Data, count: Int) throws(MILError) -> UInt64 {
    guard let code = type.blobCode else {
      preconditionFailure("\(type) cannot be stored in a weight file")
    }
    precondition(
      bytes.count == (count * type.bits + 7) / 8, "\(bytes.count) bytes for \(count) × \(type)")
    let key = Key(type: type, size: bytes.count, checksum: ContentDigest.of(bytes))
    for offset in known[key, default: []] where try read(offset + 64, bytes.count) == bytes {
      return offset
    }
    let offset = (end + 63) & ~63
    var record = Data(count: Int(offset - end))
    record.append(littleEndian: WeightFile.sentinel)
    record.append(littleEndian: code)
    record.append(littleEndian: UInt64(bytes.count))
    record.append(littleEndian: offset + 64)
    record.append(littleEndian: UInt64(type.bits < 8 ? bytes.count * 8 - count * type.bits : 0))
    record.append(Data(count: 32))
    try write(record, at: end)
    try write(bytes, at: offset + 64)
    end = offset + 64 + UInt64(bytes.count)
    recordCount += 1
    known[key, default: []].append(offset)
    return offset
  }

  /// Writes the number of records, closes the file and reads every record back.
  package func finish() throws(MILError) {
    try write(Self.header(count: recordCount), at: 0)
    try MILError.writing { () throws(FileError) in try file.finish() }
    let weights = try WeightFile(path)
    let records = known.flatMap { key, offsets in offsets.map { (key: key, offset: $0) } }
    let isSound = Parallel.map(records.count) { index in
      let (key, offset) = records[index]
      guard let record = try? weights.record(at: offset), record.type == key.type, record.range.count == key.size
      else { return false }
      defer { weights.file.forget(record.range) }
      return ContentDigest.of(record) == key.checksum
    }
    guard weights.recordCount == Int(recordCount), isSound.allSatisfy({ $0 }) else {
      throw .file(path: path, reason: "what was written does not read back the same; is the disk sound?")
    }
  }

  private static func header(count: UInt32) -> Data {
    var header = Data()
    header.append(littleEndian: count)
    header.append(littleEndian: UInt32(2))
    return header + Data(count: 56)
  }

  private func write(_ bytes: Data, at offset: UInt64) throws(MILError) {
    try MILError.writing { () throws(FileError) in try file.write(bytes, at: Int(offset)) }
  }

  private func read(_ offset: UInt64, _ count: Int) throws(MILError) -> Data {
    try MILError.writing { () throws(FileError) in try file.read(Int(offset), count) }
  }
}
