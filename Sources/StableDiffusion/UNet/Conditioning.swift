package import Tensors

/// What a UNet is told about prompts, one row each.
package struct Conditioning: Sendable {
  /// `[prompts, tokens, features]`
  package let states: Tensor
  /// SDXL: the pooled text, `[prompts, features]`.
  package let pooled: Tensor?

  package init(states: Tensor, pooled: Tensor? = nil) {
    self.states = states
    self.pooled = pooled
  }

  package func rows(_ numbers: [Int]) -> Conditioning {
    Conditioning(states: states.rows(numbers), pooled: pooled?.rows(numbers))
  }

  /// All numbers 0, as SDXL was trained to see no prompt.
  package var zeroed: Conditioning {
    Conditioning(
      states: Tensor(repeating: 0, shape: states.shape),
      pooled: pooled.map { Tensor(repeating: 0, shape: $0.shape) })
  }

  static func stacked(_ parts: [Conditioning]) -> Conditioning {
    let pooled = parts.compactMap(\.pooled)
    return Conditioning(
      states: .stacked(parts.map(\.states)),
      pooled: pooled.count == parts.count ? .stacked(pooled) : nil)
  }
}
