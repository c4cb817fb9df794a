internal import Foundation
package import Kernels

/// Sine and cosine features of a timestep, `[batch]` to `[batch, features]` (diffusers `get_timestep_embedding`).
///
///     frequency_i = exp(−ln 10000 · i / (features / 2 − shift))
package struct TimestepEmbedding: Operation {
  package static let name = "timestep embedding"
  package let features: Int
  /// Cosines first, as Stable Diffusion wants them.
  package let flipped: Bool
  package let frequencyShift: Float

  package init(features: Int, flipped: Bool, frequencyShift: Float) {
    self.features = features
    self.flipped = flipped
    self.frequencyShift = frequencyShift
  }

  /// Radians per step, `[features / 2]`, computed in 32-bit floats as torch does.
  package var frequencies: [Float] {
    let half = features / 2
    return (0..<half).map { i in
      // A step of 999 multiplies the last bit of a frequency a thousandfold: round as torch does, at each operation.
      Float(exp(Double(-Float(log(10_000.0)) * Float(i) / (Float(half) - frequencyShift))))
    }
  }

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs[0].rank == 1 && features % 2 == 0, "timestep embedding: \(inputs[0]), \(features)")
    return [inputs[0][0], features]
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    let half = features / 2
    let filled = x[0].elements.flatMap { timestep in
      let angles = frequencies.map { timestep * $0 }
      let (sines, cosines) = (angles.map { sinf($0) }, angles.map { cosf($0) })
      return flipped ? cosines + sines : sines + cosines
    }
    Shaping.copyRows(
      Buffer(filled), stride: 2 * half, into: y, targetStride: features, rows: x[0].shape[0],
      width: features)
  }

  /// Timesteps are data: nothing asks for their gradient.
  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] { [nil] }
}
