import CKernels
import Kernels
import Testing

/// Distinct rounded values of weights, against a dictionary of them.
@Suite struct WeightKeysTests {
  /// Few weights and many are counted in different ways; the second time finds tables as the first one left them.
  @Test(arguments: [1, 1000, 65_535, 65_536, 3_000_000], [WeightKeys.Rounding.half, .integer])
  func countsEachValue(count: Int, rounding: WeightKeys.Rounding) {
    let weights = numbers(count + 7, seed: count)
    if count > 3 { (weights.pointer[4], weights.pointer[5]) = (0, -0.0) }
    let keys = WeightKeys(weights, range: 3..<count + 3, scale: 512, rounding: rounding)
    var expected: [Double: UInt32] = [:]
    for index in 3..<count + 3 {
      let number = 512 * weights[index]
      let rounded = rounding == .half ? HalfPrecision.round(number) : number.rounded(.toNearestOrEven)
      expected[Double(rounded) / 512, default: 0] += 1
    }
    for _ in 0..<2 {
      let (found, counts) = keys.occupied()
      #expect(found == found.sorted() && found.count == counts.count && found.allSatisfy(keys.isNumber))
      #expect(Dictionary(uniqueKeysWithValues: zip(keys.values(found), counts)) == expected)
    }
  }

  /// Looked up four and sixteen at a time: whole lines, rests of them and rows that lie apart.
  @Test(arguments: [0, 4].filter { $0 <= sd_processor_level() }, [false, true])
  func looksUpTheSame(level: Int, integers: Bool) {
    let (rows, columns, pitch) = (3, 2085, 2100)
    let weights = numbers(rows * pitch, seed: 5)
    for index in 0..<weights.count where integers { weights.pointer[index] *= 1000 }
    for (place, special) in [0, -0.0, 1e-9, -1e-9, 3e-6, 65_504 as Float].enumerated() {
      weights.pointer[40 + place] = special
    }
    let table = (0..<WeightKeys.count).map { Float($0) }
    var found = [Float](repeating: -1, count: rows * columns + 1)
    let rounding = sd_rounding(scale: 0.5, integers: integers)
    sd_gather_by_key_on(Int32(level), weights.pointer, pitch, rounding, table, &found, rows, columns)
    for row in 0..<rows {
      for column in 0..<columns {
        let number = 0.5 * weights[row * pitch + column]
        #expect(found[row * columns + column] == Float(integers ? integerKey(number) : halfKey(number)))
      }
    }
    #expect(found.last == -1)
    // Rows without weights are none.
    sd_gather_by_key_on(Int32(level), weights.pointer, pitch, rounding, table, &found, rows, 0)
    #expect(found.last == -1)
  }

  private func halfKey(_ number: Float) -> UInt16 {
    let half = Float16(number)
    let code = half == 0 ? 0 : half.bitPattern
    return code & 0x8000 == 0 ? code ^ 0x8000 : ~code
  }

  private func integerKey(_ number: Float) -> UInt16 {
    UInt16(max(-32768, min(32767, number.rounded(.toNearestOrEven))) + 32768)
  }

  /// What 16 bits cannot tell has the least key or the greatest.
  @Test(arguments: [-Float.infinity, -40_000, .nan, 32_767, 1e30, .infinity])
  func tellsWhatItCannotHold(number: Float) {
    let keys = WeightKeys(Buffer([1, number, 32_766, -32_767]), rounding: .integer)
    let found = keys.occupied().keys
    #expect(found.count == 4 && found.filter(keys.isNumber).count == 3)
    #expect(keys.values(found.filter(keys.isNumber)) == [-32_767, 1, 32_766])
  }
}
