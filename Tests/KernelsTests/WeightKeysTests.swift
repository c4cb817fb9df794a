import CKernels
import Kernels
import Testing

/// Distinct half-precision values of weights, against a dictionary of them.
@Suite struct WeightKeysTests {
  /// Few weights and many are counted in different ways; the second time finds tables as the first one left them.
  @Test(arguments: [1, 1000, 65_535, 65_536, 3_000_000])
  func countsEachValue(count: Int) {
    let weights = numbers(count + 7, seed: count)
    if count > 3 { (weights.pointer[4], weights.pointer[5]) = (0, -0.0) }
    let keys = WeightKeys(weights, range: 3..<count + 3, scale: 4)
    var expected: [Double: UInt32] = [:]
    for index in 3..<count + 3 { expected[Double(HalfPrecision.round(4 * weights[index])) / 4, default: 0] += 1 }
    for _ in 0..<2 {
      let (found, counts) = keys.occupied()
      #expect(found == found.sorted() && found.count == counts.count)
      #expect(Dictionary(uniqueKeysWithValues: zip(keys.values(found), counts)) == expected)
    }
  }

  /// Looked up one by one and sixteen at a time: whole lines, rests of them and rows that lie apart.
  @Test(arguments: [0, 4].filter { $0 <= sd_processor_level() })
  func looksUpTheSame(level: Int) {
    let (rows, columns, pitch) = (3, 2085, 2100)
    let weights = numbers(rows * pitch, seed: 5)
    for (place, special) in [0, -0.0, 1e-9, -1e-9, 3e-6, 65_504 as Float].enumerated() {
      weights.pointer[40 + place] = special
    }
    let table = (0..<WeightKeys.count).map { Float($0) }
    var found = [Float](repeating: -1, count: rows * columns + 1)
    sd_gather_by_key_on(Int32(level), weights.pointer, pitch, 0.5, table, &found, rows, columns)
    for row in 0..<rows {
      for column in 0..<columns {
        let half = Float16(0.5 * weights[row * pitch + column])
        let code = half == 0 ? 0 : half.bitPattern
        let key = code & 0x8000 == 0 ? code ^ 0x8000 : ~code
        #expect(found[row * columns + column] == Float(key))
      }
    }
    #expect(found.last == -1)
  }
}
