internal import Foundation

/// Random numbers as a function of (seed, stream, step): Philox4x32-10 (Salmon et al. 2011).
///
/// Nothing is carried from one step to the next, so a resumed run draws what an uninterrupted one would have.
package struct CounterGenerator: Sendable {
  private let key: (UInt32, UInt32)
  private let stream: UInt32
  private let step: UInt32
  private var block: UInt64 = 0
  private var words: [UInt32] = []

  package init(seed: UInt64, stream: UInt32, step: Int) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    self.stream = stream
    self.step = UInt32(truncatingIfNeeded: step)
  }

  package mutating func next() -> UInt32 {
    if words.isEmpty {
      words = Self.philox(
        (UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), stream, step),
        key)
      block += 1
    }
    return words.removeLast()
  }

  /// A number in [0, 1) with 24 random bits.
  package mutating func uniform() -> Float { Float(next() >> 8) / 16_777_216 }

  /// A number below `bound`.
  package mutating func integer(below bound: Int) -> Int {
    Int((UInt64(next()) * UInt64(bound)) >> 32)
  }

  /// Standard normals by Box–Muller.
  package mutating func normals(_ count: Int) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(count + 1)
    while values.count < count {
      let radius = sqrtf(-2 * logf(1 - uniform()))
      let angle = 2 * Float.pi * uniform()
      values.append(radius * cosf(angle))
      values.append(radius * sinf(angle))
    }
    return Array(values.prefix(count))
  }

  static func philox(
    _ counter: (UInt32, UInt32, UInt32, UInt32), _ key: (UInt32, UInt32)
  ) -> [UInt32] {
    var c = counter
    var k = key
    for _ in 0..<10 {
      let p0 = UInt64(0xD251_1F53) * UInt64(c.0)
      let p1 = UInt64(0xCD9E_8D57) * UInt64(c.2)
      c = (
        UInt32(truncatingIfNeeded: p1 >> 32) ^ c.1 ^ k.0, UInt32(truncatingIfNeeded: p1),
        UInt32(truncatingIfNeeded: p0 >> 32) ^ c.3 ^ k.1, UInt32(truncatingIfNeeded: p0)
      )
      k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
    }
    return [c.0, c.1, c.2, c.3]
  }
}
