package import Kernels

extension Tensor {
  /// `exp(x) / Σ exp(x)` along the last axis.
  package func softmax() -> Tensor { Softmax()(self) }
  /// The product of the last two axes, sample by sample: `[…, m, k]` by `[…, k, n]`.
  package func matrixProduct(_ y: Tensor) -> Tensor { BatchedProduct()(self, y) }
}

/// `y = exp(x) / Σ exp(x)` along the last axis, so `dx = y ⊙ (dy − Σ y ⊙ dy)`.
package struct Softmax: Operation {
  package static let name = "softmax"

  package func shape(of inputs: [Shape]) -> Shape { inputs[0] }

  package func forward(_ x: [Tensor], into y: Buffer) -> Buffer {
    Rows.softmax(x[0].buffer, width: x[0].shape.last, into: y)
    return y
  }

  package func pullback(
    _ dy: Buffer, _ y: Buffer, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: y.count)
    Rows.softmaxGradient(y, dy: dy, width: inputs[0].last, into: dx)
    return [dx]
  }
}

/// `z = x y` for every sample, so `dx = dz yᵀ` and `dy = xᵀ dz`.
package struct BatchedProduct: Operation {
  package static let name = "matrix product"

  package func shape(of inputs: [Shape]) -> Shape {
    let (x, y) = (inputs[0], inputs[1])
    precondition(
      x.rank >= 2 && x.rank == y.rank && x.axes.dropLast(2) == y.axes.dropLast(2)
        && x[-1] == y[-2], "matrix product: \(x) by \(y)")
    return x.replacing(-1, with: y[-1])
  }

  package func forward(_ x: [Tensor], into z: Buffer) -> (x: Buffer, y: Buffer) {
    let (m, k, n) = (x[0].shape[-2], x[0].shape[-1], x[1].shape[-1])
    let (a, b) = (x[0].buffer, x[1].buffer)
    Parallel.ranges(x[0].shape.count / (m * k)) { samples in
      for i in samples {
        MatrixProduct.multiplyInline(
          Matrix(a, offset: i * m * k, stride: k), Matrix(b, offset: i * k * n, stride: n),
          into: Matrix(z, offset: i * m * n, stride: n), m: m, n: n, k: k)
      }
    }
    return (a, b)
  }

  package func pullback(
    _ dz: Buffer, _ saved: (x: Buffer, y: Buffer), inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let (m, k, n) = (inputs[0][-2], inputs[0][-1], inputs[1][-1])
    let dx = Buffer(uninitialized: saved.x.count)
    let dy = Buffer(uninitialized: saved.y.count)
    Parallel.ranges(inputs[0].count / (m * k)) { samples in
      for i in samples {
        let dzi = Matrix(dz, offset: i * m * n, stride: n)
        MatrixProduct.multiplyInline(
          dzi, Matrix(saved.y, offset: i * k * n, stride: n, transposed: true),
          into: Matrix(dx, offset: i * m * k, stride: k), m: m, n: k, k: n)
        MatrixProduct.multiplyInline(
          Matrix(saved.x, offset: i * m * k, stride: k, transposed: true), dzi,
          into: Matrix(dy, offset: i * k * n, stride: n), m: k, n: n, k: m)
      }
    }
    return [dx, dy]
  }

  package func floatingPointOperations(_ inputs: [Shape]) -> Int {
    2 * inputs[0].count * inputs[1][-1]
  }
}
