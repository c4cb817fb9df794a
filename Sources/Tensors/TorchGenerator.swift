internal import Foundation

/// The numbers of `torch.Generator("cpu")`: MT19937 (Matsumoto & Nishimura 1998) and torch's normal transforms.
///
/// Validation noise comes from here, so that figures can be compared with those of torch and diffusers to the digit.
package struct TorchGenerator: Sendable {
  private var twister: MersenneTwister
  /// The second normal of a pair that small draws keep for the next one.
  private var kept: Double?

  /// Whether the end of a draw that is no multiple of 16 comes from numbers of 53 bits instead of 24.
  private let refillsFromDoubles: Bool

  /// - Parameters:
  ///   - seed: only the low 32 bits count, as in torch.
  ///   - refillsFromDoubles: reproduce the end of uneven draws of ml-stable-diffusion's Swift package.
  package init(seed: UInt64, refillsFromDoubles: Bool = false) {
    twister = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed))
    self.refillsFromDoubles = refillsFromDoubles
  }

  /// `torch.randn(count)` in 32-bit floats.
  package mutating func normals(_ count: Int) -> [Float] {
    guard count >= 16 else { return (0..<count).map { _ in Float(smallNormal()) } }
    var values = (0..<count).map { _ in uniform() }
    for start in stride(from: 0, through: count - 16, by: 16) { transform(&values, start) }
    if count % 16 != 0 {
      for i in count - 16..<count { values[i] = refillsFromDoubles ? Float(uniform53()) : uniform() }
      transform(&values, count - 16)
    }
    return values
  }

  /// 24 random bits as a number in [0, 1).
  private mutating func uniform() -> Float { Float(twister.next() & 0xFF_FFFF) / 16_777_216 }

  /// Box–Muller on one block: eight radii from its first half, eight angles from its second.
  private func transform(_ values: inout [Float], _ start: Int) {
    for j in start..<start + 8 {
      let radius = sqrtf(-2 * logf(1 - values[j]))
      let angle = 2 * Float.pi * values[j + 8]
      values[j] = radius * cosf(angle)
      values[j + 8] = radius * sinf(angle)
    }
  }

  private mutating func smallNormal() -> Double {
    if let second = kept {
      kept = nil
      return second
    }
    let angle = 2 * Double.pi * uniform53()
    let radius = (-2 * log1p(-uniform53())).squareRoot()
    kept = radius * sin(angle)
    return radius * cos(angle)
  }

  private mutating func uniform53() -> Double {
    let high = UInt64(twister.next())
    let low = UInt64(twister.next())
    return Double((high << 32 | low) & (1 << 53 - 1)) / 9_007_199_254_740_992
  }
}

/// MT19937, 32-bit words.
struct MersenneTwister: Sendable {
  private var state: [UInt32]
  private var index = 624

  init(seed: UInt32) {
    state = [seed]
    for i in 1..<624 {
      state.append(1_812_433_253 &* (state[i - 1] ^ state[i - 1] >> 30) &+ UInt32(i))
    }
  }

  mutating func next() -> UInt32 {
    if index == 624 { twist() }
    var y = state[index]
    index += 1
    y ^= y >> 11
    y ^= y << 7 & 0x9D2C_5680
    y ^= y << 15 & 0xEFC6_0000
    return y ^ y >> 18
  }

  private mutating func twist() {
    for i in 0..<624 {
      let y = state[i] & 0x8000_0000 | state[(i + 1) % 624] & 0x7FFF_FFFF
      state[i] = state[(i + 397) % 624] ^ y >> 1 ^ (y & 1 == 0 ? 0 : 0x9908_B0DF)
    }
    index = 0
  }
}
