package import Kernels

extension Tensor {
  /// The mean squared difference to a constant target, each sample weighted: a scalar.
  ///
  ///     loss = Σ_b weight_b · mean((x_b − target_b)²) / batch
  ///
  /// - Parameter weights: one a sample; ones if not given.
  package func meanSquaredError(to target: Tensor, weights: [Float]? = nil) -> Tensor {
    MeanSquaredError(weights: weights)(self, target)
  }
}

/// `loss = Σ_b w_b mean((x_b − y_b)²) / batch`, so `dx = 2 w_b (x − y) / count` and `dy = −dx`.
package struct MeanSquaredError: Operation {
  package static let name = "mean squared error"
  package let weights: [Float]?

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs[0] == inputs[1] && (weights?.count ?? inputs[0][0]) == inputs[0][0],
      "mean squared error: \(inputs[0]) and \(inputs[1])")
    return []
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> (difference: Buffer, count: Int) {
    let difference = Buffer(uninitialized: x[0].shape.count)
    Elementwise.combine(x[0].buffer, .subtract, x[1].buffer, into: difference)
    let batch = x[0].shape[0]
    var loss = 0.0
    let squares = Buffer(uninitialized: difference.count)
    Elementwise.combine(difference, .multiply, difference, into: squares)
    if let weights {
      let sums = Shaping.reduce(
        squares, shape: [batch, squares.count / batch], to: [batch, 1]
      ).elements
      loss = zip(weights, sums).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    } else {
      loss = Elementwise.sum(squares)
    }
    Shaping.copyRows(
      Buffer([Float(loss / Double(squares.count))]), stride: 1, into: y, targetStride: 1, rows: 1,
      width: 1)
    return (difference, batch)
  }

  package func pullback(
    _ dy: Buffer, _ saved: (difference: Buffer, count: Int), inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let count = saved.difference.count
    let dx = Buffer(uninitialized: count)
    Elementwise.scale(saved.difference, by: 2 * dy[0] / Float(count), into: dx)
    if let weights {
      let scaled = Buffer(uninitialized: count)
      Shaping.combine(
        dx, shape: [saved.count, count / saved.count], .multiply, Buffer(weights),
        repeated: [saved.count, 1], into: scaled)
      return both(scaled, needed)
    }
    return both(dx, needed)
  }

  private func both(_ dx: Buffer, _ needed: [Bool]) -> [Buffer?] {
    guard needed[1] else { return [dx, nil] }
    let dy = Buffer(uninitialized: dx.count)
    Elementwise.scale(dx, by: -1, into: dy)
    return [dx, dy]
  }
}
