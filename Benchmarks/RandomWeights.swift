internal import Kernels
internal import Tensors

/// Random weights by the hundred million: close to normal, the same for a seed on every machine.
enum RandomWeights {
  /// As a trained network has them: norms near 1, biases small, matrices that keep the size of what they multiply.
  static func weight(_ name: String, _ shape: Shape, seed: UInt64) -> Buffer {
    if shape.rank >= 2 {
      return normals(
        shape.count, deviation: 0.7 / Float(shape.count / shape[0]).squareRoot(), seed: seed)
    }
    let values = normals(shape.count, deviation: 0.05, seed: seed)
    guard name.contains("norm"), name.hasSuffix("weight") else { return values }
    return Buffer(values.elements.map { 1 + $0 })
  }

  /// The sum of four numbers of 16 bits, whose tails end at 3.5 deviations.
  static func normals(_ count: Int, deviation: Float, seed: UInt64) -> Buffer {
    let y = Buffer(uninitialized: count)
    // Four uniform numbers of [0, 65536) have a variance of 4 · 65536² / 12.
    let scale = deviation / (65_536 * (1 as Float / 3).squareRoot())
    Parallel.ranges(count, grain: 1 << 16, multiple: 16) { part in
      for index in part {
        var bits = (UInt64(truncatingIfNeeded: index) &+ seed &* 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 31)) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 29
        let sum = bits & 0xFFFF + (bits >> 16) & 0xFFFF + (bits >> 32) & 0xFFFF + bits >> 48
        y.pointer[index] = (Float(sum) - 131_070) * scale
      }
    }
    return y
  }
}
