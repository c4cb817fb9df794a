package import Kernels

/// Group normalization of `[batch, …, channels]` with weight and bias `[channels]`, then SiLU if asked for.
///
/// Diffusers: `torch.nn.GroupNorm` followed by the block's nonlinearity (Wu & He 2018).
package struct GroupNorm: Operation {
  package static let name = "group norm"
  package let groups: Int
  package let epsilon: Float
  package let silu: Bool

  package init(groups: Int, epsilon: Float, silu: Bool) {
    self.groups = groups
    self.epsilon = epsilon
    self.silu = silu
  }

  package struct Residuals: Sendable {
    let x, weight, bias, mean, deviation: Buffer
  }

  private func kernel(_ x: Shape) -> GroupNormalization {
    GroupNormalization(
      batch: x[0], positions: x.count / (x[0] * x.last), channels: x.last, groups: groups,
      epsilon: epsilon, silu: silu)
  }

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs[0].rank >= 2 && inputs[0].last % groups == 0 && inputs[1] == [inputs[0].last]
        && inputs[2] == inputs[1],
      "group norm of \(groups) groups: \(inputs[0]), weight \(inputs[1]), bias \(inputs[2])")
    return inputs[0]
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> Residuals {
    let (mean, deviation) = kernel(x[0].shape).forward(
      x[0].buffer, weight: x[1].buffer, bias: x[2].buffer, into: y)
    return Residuals(
      x: x[0].buffer, weight: x[1].buffer, bias: x[2].buffer, mean: mean, deviation: deviation)
  }

  package func pullback(
    _ dy: Buffer, _ r: Residuals, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: r.x.count)
    let (dweight, dbias) = kernel(inputs[0]).gradient(
      r.x, weight: r.weight, bias: r.bias, mean: r.mean, deviation: r.deviation, dy: dy, into: dx)
    return [dx, dweight, dbias]
  }
}
