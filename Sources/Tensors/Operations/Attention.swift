package import Kernels

/// `o = softmax(scale q kᵀ) v` for every sample and head.
///
/// `q` is `[batch, queries, heads · features]`, `k` and `v` are `[batch, keys, heads · features]`.
package struct Attention: Operation {
  package static let name = "attention"
  package let heads: Int
  package let scale: Float
  package let causal: Bool

  /// - Parameter scale: `features^−½` if not given.
  package init(heads: Int, features: Int, scale: Float? = nil, causal: Bool = false) {
    self.heads = heads
    self.scale = scale ?? 1 / Float(features).squareRoot()
    self.causal = causal
  }

  package struct Residuals: Sendable {
    let q, k, v, o, logsum: Buffer
  }

  private func kernel(_ inputs: [Shape]) -> ScaledDotProductAttention {
    ScaledDotProductAttention(
      batch: inputs[0][0], queries: inputs[0][1], keys: inputs[1][1], heads: heads,
      features: inputs[0][2] / heads, scale: scale, causal: causal)
  }

  package func shape(of inputs: [Shape]) -> Shape {
    let (q, k, v) = (inputs[0], inputs[1], inputs[2])
    precondition(
      q.rank == 3 && k.rank == 3 && v == k && q[0] == k[0] && q[2] == k[2] && q[2] % heads == 0
        && (!causal || q[1] == k[1]),
      "attention of \(heads) heads: queries \(q), keys \(k), values \(v)")
    return q
  }

  package func forward(_ x: [Tensor], into o: Buffer) -> Residuals {
    let logsum = kernel(x.map(\.shape)).forward(x[0].buffer, x[1].buffer, x[2].buffer, into: o)
    return Residuals(q: x[0].buffer, k: x[1].buffer, v: x[2].buffer, o: o, logsum: logsum)
  }

  package func pullback(
    _ dy: Buffer, _ r: Residuals, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let (dq, dk, dv) = kernel(inputs).gradient(r.q, r.k, r.v, o: r.o, logsum: r.logsum, dy: dy)
    return [dq, dk, dv]
  }

  package func floatingPointOperations(_ inputs: [Shape]) -> Int {
    4 * inputs[0].count * inputs[1][1]
  }
}
