internal import Foundation

/// The normals that torch draws on an NVIDIA GPU: Philox4x32-10 and Box–Muller, one counter an element.
///
/// What the same seed gives in CUDA, as web interfaces reproduce it on other hardware. Elements are those of a tensor
/// with fewer elements than the GPU has threads.
package struct NvidiaGenerator: Sendable {
  private let key: (UInt32, UInt32)
  /// Calls made so far.
  private var offset: UInt32 = 0

  package init(seed: UInt64) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
  }

  /// `torch.randn(count, device: "cuda")` in 32-bit floats.
  package mutating func normals(_ count: Int) -> [Float] {
    defer { offset += 1 }
    let scale: Float = 2.328_306_4e-10
    let turn: Float = 2.328_306_4e-10 * 6.283_185_5
    return (0..<count).map { index in
      let words = CounterGenerator.philox((offset, 0, UInt32(index), 0), key)
      let u = Float(words[0]) * scale + scale / 2
      let v = Float(words[1]) * turn + turn / 2
      return sqrtf(-2 * logf(u)) * sinf(v)
    }
  }
}
