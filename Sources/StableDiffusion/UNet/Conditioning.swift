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

  package static func stacked(_ parts: [Conditioning]) -> Conditioning {
    let pooled = parts.compactMap(\.pooled)
    return Conditioning(
      states: .stacked(parts.map(\.states)),
      pooled: pooled.count == parts.count ? .stacked(pooled) : nil)
  }
}

extension UNetConfiguration {
  /// What UNets of SDXL's kind are told of pictures that are as large as their latents say and not cropped: size, crop
  /// and target size in pixels; of the refiner's kind size, crop and aesthetic score. `[rows, 6 or 5]`; nil of others.
  ///
  /// - Parameters:
  ///   - height: of the latents; pictures have eight times as many pixels.
  ///   - pooled: features of the pooled text.
  package func sizes(height: Int, width: Int, rows: Int, pooled: Int) -> Tensor? {
    guard let textTime else { return nil }
    let count = (textTime.projectionInputs - pooled) / textTime.timeFeatures
    return Self.sizes(height: 8 * height, width: 8 * width, rows: rows, count: count)
  }

  /// - Parameters:
  ///   - height: of the picture, in pixels.
  ///   - count: of the numbers, 6 or 5.
  package static func sizes(height: Int, width: Int, rows: Int, count: Int) -> Tensor {
    let size = [Float(height), Float(width)]
    let row = size + [0, 0] + (count == 5 ? [6] : size)
    return Tensor([rows, row.count], (0..<rows).flatMap { _ in row })
  }
}
