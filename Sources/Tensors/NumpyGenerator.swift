internal import Foundation

/// The normals of NumPy's `RandomState`: MT19937 and Marsaglia's polar method.
///
/// ml-stable-diffusion draws its latents from them by default.
package struct NumpyGenerator: Sendable {
  private var twister: MersenneTwister
  private var kept: Double?

  package init(seed: UInt32) { twister = MersenneTwister(seed: seed) }

  /// `RandomState(seed).standard_normal(count)`.
  package mutating func doubles(_ count: Int) -> [Double] { (0..<count).map { _ in normal() } }

  /// The same numbers in 32 bits.
  package mutating func normals(_ count: Int) -> [Float] { doubles(count).map { Float($0) } }

  private mutating func normal() -> Double {
    if let second = kept {
      kept = nil
      return second
    }
    while true {
      let x = 2 * uniform() - 1
      let y = 2 * uniform() - 1
      let square = x * x + y * y
      guard square < 1, square != 0 else { continue }
      let factor = (-2 * log(square) / square).squareRoot()
      kept = factor * x
      return factor * y
    }
  }

  /// `random_sample()`: 53 bits in [0, 1).
  mutating func uniform() -> Double {
    let high = Double(twister.next() >> 5)
    let low = Double(twister.next() >> 6)
    return (high * 67_108_864 + low) / 9_007_199_254_740_992
  }
}
