package import Kernels

/// `y = (x − mean) / √(variance + epsilon) ⊙ weight + bias` along the last axis; weight and bias may be missing.
package struct LayerNorm: Operation {
  package static let name = "layer norm"
  package let epsilon: Float

  package init(epsilon: Float) { self.epsilon = epsilon }

  package struct Residuals: Sendable {
    let x: Buffer
    let weight: Buffer?
    let mean, deviation: Buffer
  }

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs.dropFirst().allSatisfy { $0 == [inputs[0].last] } && [1, 3].contains(inputs.count),
      "layer norm: \(inputs)")
    return inputs[0]
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> Residuals {
    let weight = x.count > 1 ? x[1].buffer : nil
    let (mean, deviation) = Rows.layerNorm(
      x[0].buffer, weight: weight, bias: x.count > 1 ? x[2].buffer : nil, epsilon: epsilon,
      width: x[0].shape.last, into: y)
    return Residuals(x: x[0].buffer, weight: weight, mean: mean, deviation: deviation)
  }

  package func pullback(
    _ dy: Buffer, _ r: Residuals, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: r.x.count)
    let (dweight, dbias) = Rows.layerNormGradient(
      r.x, weight: r.weight, dy: dy, mean: r.mean, deviation: r.deviation,
      width: inputs[0].last, into: dx)
    return inputs.count > 1 ? [dx, dweight, dbias] : [dx]
  }
}
