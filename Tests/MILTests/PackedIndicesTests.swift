import Kernels
import TestSupport
import Testing

@Suite struct PackedIndicesTests {
  /// The stream as its definition says it: bit by bit.
  private func reference(_ indices: [UInt8], bits: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: (indices.count * bits + 7) / 8)
    for (index, value) in indices.enumerated() {
      for bit in 0..<bits where value >> bit & 1 == 1 {
        let position = index * bits + bit
        bytes[position / 8] |= 1 << (position % 8)
      }
    }
    return bytes
  }

  @Test(arguments: 1...8, [0, 1, 7, 8, 9, 64, 1001])
  func roundTrip(bits: Int, count: Int) {
    var generator = SplitMix(seed: UInt64(bits * 10000 + count))
    let indices = (0..<count).map { _ in UInt8(generator.next() & (1 << UInt64(bits) - 1)) }
    let packed = PackedIndices(indices, bits: bits)
    #expect(packed.bytes == reference(indices, bits: bits))
    #expect(packed.unpacked() == indices)
    let table = Buffer((0..<1 << bits).map { Float($0) * 0.5 - 1 })
    for first in [0, 1, 3, 8, count / 2] where first <= count {
      let y = Buffer(repeating: 9, count: count - first + 2)
      packed.decode(first..<count, table: table, into: y, at: 1)
      #expect(y.elements == [9] + indices[first...].map { Float($0) * 0.5 - 1 } + [9])
    }
  }
}

/// A small fixed-seed generator.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
