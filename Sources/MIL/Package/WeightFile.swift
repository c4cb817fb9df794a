internal import Files
package import Foundation
package import Kernels

/// A `weight.bin` in "blob storage version 2", mapped for reading.
///
///     0   count: UInt32, version = 2: UInt32, zeros up to 64
///     64  record, 64 bytes: sentinel, type, size, offset of the data, unused bits; then the data, 64-byte aligned
package final class WeightFile: Sendable {
  static let sentinel: UInt32 = 0xDEAD_BEEF
  static let recordBytes = 64

  package let file: MappedFile
  /// Records, by the file's own account.
  package let recordCount: Int

  package init(_ path: String) throws(MILError) {
    do {
      file = try MappedFile(path)
    } catch {
      throw .file(path: path, reason: "cannot be opened as a weight file")
    }
    let content = FileContent(file)
    if [.gitLFSPointer, .webPage].contains(content) { throw .file(path: path, reason: "found \(content.inWords)") }
    guard file.count >= Self.recordBytes else {
      throw .weights(
        file: path, offset: 0, expected: "a header of 64 bytes", found: "\(file.count) bytes")
    }
    let header = file.data(0..<8)
    let version = header.littleEndian(UInt32.self, at: 4)
    guard version == 2 else {
      throw .weights(file: path, offset: 0, expected: "storage version 2", found: "\(version)")
    }
    recordCount = Int(header.littleEndian(UInt32.self, at: 0))
  }

  /// The record at a byte offset, with every field checked against the file.
  package func record(at offset: UInt64) throws(MILError) -> WeightRecord {
    func refuse(_ expected: String, _ found: String) -> MILError {
      .weights(file: file.path, offset: offset, expected: expected, found: found)
    }
    let size = UInt64(file.count)
    guard offset % 64 == 0, offset >= 64, offset <= size, size - offset >= 64 else {
      throw refuse("a multiple of 64 inside \(size) bytes", "\(offset)")
    }
    let bytes = file.data(Int(offset)..<Int(offset) + 32)
    let sentinel = bytes.littleEndian(UInt32.self, at: 0)
    guard sentinel == Self.sentinel else {
      throw refuse("the mark 0xDEADBEEF", "0x" + String(sentinel, radix: 16, uppercase: true))
    }
    let code = bytes.littleEndian(UInt32.self, at: 4)
    guard let type = DataType.allCases.first(where: { $0.blobCode == code }) else {
      throw refuse("a known data type", "number \(code)")
    }
    let length = bytes.littleEndian(UInt64.self, at: 8)
    let start = bytes.littleEndian(UInt64.self, at: 16)
    guard start % 64 == 0, start >= 64, start <= size, length <= size - start else {
      throw refuse("data inside \(size) bytes, 64-byte aligned", "\(length) bytes at \(start)")
    }
    let unused = bytes.littleEndian(UInt64.self, at: 24)
    guard type.bits >= 8 || unused < 8 else {
      throw refuse("fewer than 8 unused bits", "\(unused)")
    }
    return WeightRecord(
      file: file, offset: offset, type: type, range: Int(start)..<Int(start + length),
      unusedBits: type.bits < 8 ? Int(unused) : 0)
  }
}

/// One constant's place in a weight file.
package struct WeightRecord: Sendable {
  package let file: MappedFile
  /// Of the record, which is what a program names.
  package let offset: UInt64
  package let type: DataType
  /// Of the data.
  package let range: Range<Int>
  /// Bits at the end of the last byte that belong to no element.
  package let unusedBits: Int

  /// A copy of the stored bytes.
  package var data: Data { file.data(range) }

  /// Checks that the record holds `count` elements of `type`.
  package func check(_ type: DataType, count: Int) throws(MILError) {
    guard self.type == type else {
      throw .weights(
        file: file.path, offset: offset, expected: "\(type) as declared", found: "\(self.type)")
    }
    let (bits, overflow) = count.multipliedReportingOverflow(by: type.bits)
    let bytes = overflow ? Int.max : bits / 8 + (bits % 8 == 0 ? 0 : 1)
    guard range.count == bytes else {
      throw .weights(
        file: file.path, offset: offset, expected: "\(bytes) bytes for \(count) × \(type)",
        found: "\(range.count)")
    }
    guard type.bits >= 8 || unusedBits == bytes * 8 - bits else {
      throw .weights(
        file: file.path, offset: offset, expected: "\(bytes * 8 - bits) unused bits",
        found: "\(unusedBits)")
    }
  }
}

extension Data {
  /// A number stored least significant byte first.
  ///
  /// - Precondition: the number lies inside the data.
  func littleEndian<Number: FixedWidthInteger>(_: Number.Type, at offset: Int) -> Number {
    var number: Number = 0
    for byte in 0..<MemoryLayout<Number>.size {
      number |= Number(truncatingIfNeeded: self[startIndex + offset + byte]) << Number(byte * 8)
    }
    return number
  }

  mutating func append<Number: FixedWidthInteger>(littleEndian number: Number) {
    for byte in 0..<MemoryLayout<Number>.size {
      append(UInt8(truncatingIfNeeded: number >> Number(byte * 8)))
    }
  }
}
