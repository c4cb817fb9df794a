import Foundation
import Kernels
import MIL
import TestSupport
import Testing

@Suite struct WeightFileTests {
  @Test func roundTrip() throws {
    try withScratchFolder { folder in
      let path = folder + "/weight.bin"
      let writer = try WeightFileWriter(path)
      let halves = Data((0..<40).map { UInt8($0) })
      let nibbles = Data([0x21, 0x43, 0x05])
      let first = try writer.append(.float16, halves, count: 20)
      let second = try writer.append(.uint4, nibbles, count: 5)
      let again = try writer.append(.float16, halves, count: 20)
      let other = try writer.append(.uint8, halves, count: 40)
      try writer.finish()
      #expect(first == 64)
      #expect(second == 192)
      #expect(again == first, "equal constants share a record")
      #expect(other == 320)
      let file = try WeightFile(path)
      #expect(file.recordCount == 3)
      #expect(file.file.count == 320 + 64 + 40, "nothing behind the last byte")
      let record = try file.record(at: second)
      #expect(record.type == .uint4)
      #expect(record.unusedBits == 4)
      #expect(file.file.data(record.range) == nibbles)
      try record.check(.uint4, count: 5)
      #expect(throws: MILError.self) { try record.check(.uint4, count: 6) }
      #expect(throws: MILError.self) { try record.check(.uint8, count: 3) }
      #expect(try file.file.data(file.record(at: first).range) == halves)
    }
  }

  @Test(arguments: [0, 1, 63, 65, 100, 424, 448, UInt64.max, UInt64.max - 63])
  func refusesOffsets(_ offset: UInt64) throws {
    try withScratchFolder { folder in
      let writer = try WeightFileWriter(folder + "/weight.bin")
      _ = try writer.append(.uint8, Data(count: 300), count: 300)
      try writer.finish()
      let file = try WeightFile(folder + "/weight.bin")
      #expect(throws: MILError.self) { try file.record(at: offset) }
    }
  }

  /// Any byte of header or record may be wrong: refused, or read without leaving the file.
  @Test func survivesDamage() throws {
    try withScratchFolder { folder in
      let path = folder + "/weight.bin"
      let writer = try WeightFileWriter(path)
      let offset = try writer.append(.float16, Data(count: 40), count: 20)
      try writer.finish()
      let sound = try Data(contentsOf: URL(filePath: path))
      for position in 0..<128 {
        for value: UInt8 in [0, 1, 0x7F, 0xFF] {
          var bytes = sound
          bytes[position] = value
          try bytes.write(to: URL(filePath: path))
          guard let record = try? WeightFile(path).record(at: offset) else { continue }
          #expect(record.range.lowerBound >= 0 && record.range.upperBound <= sound.count)
        }
      }
      for length in 0..<sound.count {
        try sound.prefix(length).write(to: URL(filePath: path))
        #expect(throws: MILError.self) { try WeightFile(path).record(at: offset) }
      }
    }
  }
}
