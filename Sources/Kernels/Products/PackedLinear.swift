internal import CKernels

/// A product with a weight matrix that is decoded a few rows at a time.
package enum PackedLinear {
  /// Floats in a decoded tile of weights: 2 MB.
  private static let tileLimit = 512 << 10

  /// `y = x Wᵀ + b`
  ///
  /// - Parameters:
  ///   - x: `[rows, inputs]`
  ///   - weight: `[outputs, inputs]`
  ///   - bias: `[outputs]`
  /// - Returns: `[rows, outputs]`
  /// - Complexity: 2 · rows · inputs · outputs FLOPs.
  package static func multiply(
    _ x: Buffer, rows: Int, inputs: Int, outputs: Int, weight: WeightElements,
    bias: Buffer?
  ) -> Buffer {
    precondition(
      x.count == rows * inputs && weight.count == outputs * inputs && (bias?.count ?? outputs) == outputs,
      "linear \(inputs) → \(outputs) of \(x.count) elements")
    let y = Buffer(uninitialized: rows * outputs)
    guard y.count > 0 else { return y }
    let share = (outputs + Parallel.threads - 1) / Parallel.threads
    let tile = max(1, min(share, max(16, tileLimit / max(1, inputs))))
    Parallel.forEach((outputs + tile - 1) / tile) { index in
      let part = index * tile..<min(outputs, (index + 1) * tile)
      MatrixProduct.multiplyInline(
        Matrix(x, stride: inputs), weight.matrix(rows: part, columns: 0..<inputs, width: inputs, transposed: true),
        into: Matrix(y, offset: part.lowerBound, stride: outputs), m: rows, n: part.count, k: inputs
      )
      guard let bias else { return }
      for row in 0..<rows {
        let start = y.pointer + row * outputs + part.lowerBound
        sd_add(start, bias.pointer + part.lowerBound, start, part.count)
      }
    }
    return y
  }
}
