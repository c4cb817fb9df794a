import CKernels
import Kernels
import Testing

/// Indices of every width, packed as packages have them, looked up with the code for every processor level here.
@Suite struct PaletteLookUpTests {
  @Test(arguments: [0, 4].filter { $0 <= sd_processor_level() })
  func looksUpWhatWasPacked(level: Int) {
    let indices = numbers(1003, seed: 8).elements.map { UInt8(truncatingIfNeeded: Int($0 * 1e6)) }
    for bits in 1...8 as ClosedRange<UInt32> {
      let table = (0..<1 << bits).map { Float($0) }
      var stream = [UInt8](repeating: 0, count: (indices.count * Int(bits) + 7) / 8)
      sd_pack(indices, indices.count, bits, &stream)
      for range in [0..<1003, 0..<16, 5..<21, 7..<1003, 8..<996, 1000..<1003, 40..<40] {
        var found = [Float](repeating: -1, count: range.count + 1)
        sd_look_up_on(Int32(level), stream, stream.count, bits, range.lowerBound, range.count, table, &found)
        let expected = indices[range].map { Float($0 & UInt8(table.count - 1)) } + [-1]
        #expect(found == expected, "level \(level), \(bits) bits, \(range)")
      }
    }
  }
}
