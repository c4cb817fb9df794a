package import Kernels

/// One token more before each sequence: `[batch, tokens, features]` and `[features]` to `[batch, tokens + 1, features]`.
package struct PrependedToken: Operation {
  package static let name = "prepended token"

  package init() {}

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs.count == 2 && inputs[0].rank == 3 && inputs[1] == [inputs[0][2]],
      "prepended token: \(inputs[1]) before \(inputs[0])")
    return inputs[0].replacing(1, with: inputs[0][1] + 1)
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    let (batch, features) = (x[0].shape[0], x[1].shape.count)
    let width = x[0].shape[1] * features
    Shaping.copyRows(
      x[0].buffer, stride: width, into: y, at: features, targetStride: width + features, rows: batch,
      width: width)
    Shaping.copyRows(
      x[1].buffer, stride: 0, into: y, targetStride: width + features, rows: batch, width: features)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let (batch, features) = (inputs[0][0], inputs[0][2])
    let width = inputs[0][1] * features
    let dx = Buffer(uninitialized: inputs[0].count)
    Shaping.copyRows(
      dy, offset: features, stride: width + features, into: dx, targetStride: width, rows: batch,
      width: width)
    guard needed[1] else { return [dx, nil] }
    let firsts = Buffer(uninitialized: batch * features)
    Shaping.copyRows(
      dy, stride: width + features, into: firsts, targetStride: features, rows: batch, width: features)
    let sum = Buffer(uninitialized: features)
    Shaping.scatter(firsts, rows: [Int](repeating: 0, count: batch), width: features, into: sum)
    return [dx, sum]
  }
}

/// The first token's state: `[batch, tokens, features]` to `[batch, features]`.
package struct FirstToken: Operation {
  package static let name = "first token"

  package init() {}

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(inputs[0].rank == 3 && inputs[0][1] > 0, "first token: of \(inputs[0])")
    return [inputs[0][0], inputs[0][2]]
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    Shaping.gather(x[0].buffer, rows: rows(x[0].shape), width: x[0].shape[2], into: y)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: inputs[0].count)
    Shaping.scatter(dy, rows: rows(inputs[0]), width: inputs[0][2], into: dx)
    return [dx]
  }

  private func rows(_ shape: Shape) -> [Int] { (0..<shape[0]).map { $0 * shape[1] } }
}
