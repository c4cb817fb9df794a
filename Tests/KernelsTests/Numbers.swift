import Kernels

/// Numbers between −1 and 1 that look random and are the same every time.
func numbers(_ count: Int, seed: Int = 1) -> Buffer {
  var state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 | 1
  return Buffer(
    (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 23) - 1
    })
}

/// The largest difference, as a share of the largest expected magnitude.
func relativeError(_ found: Buffer, _ expected: [Double]) -> Double {
  let largest = expected.reduce(0) { max($0, abs($1)) }
  return zip(found.elements, expected).reduce(0) { max($0, abs(Double($1.0) - $1.1)) } / max(largest, 1e-30)
}
