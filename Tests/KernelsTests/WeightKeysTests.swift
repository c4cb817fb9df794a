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
}
