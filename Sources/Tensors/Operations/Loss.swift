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

  /// The mean squared difference of guided answers to a constant target's, each pair weighted: a scalar.
  ///
  ///     loss = Σ_b weight_b · mean((scale_b · (x_b − target_b) + (1 − scale_b) · (x_{b+n} − target_{b+n}))²) / n
  ///
  /// Classifier-free guidance (Ho & Salimans 2022) follows `scale · conditional + (1 − scale) · unconditional`.
  ///
  /// - Parameters:
  ///   - target: as this tensor, `[2n, …]`: n conditional answers, then the n unconditional ones.
  ///   - scales: the guidance of each pair.
  ///   - weights: one a pair.
  package func guidedSquaredError(to target: Tensor, scales: [Float], weights: [Float]) -> Tensor {
    GuidedSquaredError(scales: scales, weights: weights)(self, target)
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

/// With the guided difference `e_b = s_b (x_b − y_b) + (1 − s_b) (x_{b+n} − y_{b+n})`:
/// `loss = Σ_b w_b mean(e_b²) / n`, so `dx_b = 2 w_b s_b e_b / count` and `dx_{b+n} = 2 w_b (1 − s_b) e_b / count`.
package struct GuidedSquaredError: Operation {
  package static let name = "guided squared error"
  package let scales: [Float]
  package let weights: [Float]

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs[0] == inputs[1] && inputs[0][0] == 2 * scales.count && weights.count == scales.count,
      "guided squared error: \(inputs[0]), \(inputs[1]), \(scales.count) scales, \(weights.count) weights")
    return []
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> [Float] {
    let half = x[0].shape.count / 2
    let width = half / scales.count
    let (answers, targets) = (x[0].elements, x[1].elements)
    let guided = (0..<half).map { index in
      let scale = scales[index / width]
      return scale * (answers[index] - targets[index])
        + (1 - scale) * (answers[half + index] - targets[half + index])
    }
    let sum = guided.indices.reduce(0.0) { sum, index in
      sum + Double(weights[index / width]) * Double(guided[index]) * Double(guided[index])
    }
    y.copy(from: Buffer([Float(sum / Double(half))]), 0..<1, at: 0)
    return guided
  }

  package func pullback(_ dy: Buffer, _ guided: [Float], inputs: [Shape], needed: [Bool]) -> [Buffer?] {
    precondition(!needed[1], "guided squared error: the target is a constant")
    let width = guided.count / scales.count
    let slopes = guided.indices.map { 2 * weights[$0 / width] * dy[0] / Float(guided.count) * guided[$0] }
    let conditional = slopes.indices.map { scales[$0 / width] * slopes[$0] }
    let unconditional = slopes.indices.map { (1 - scales[$0 / width]) * slopes[$0] }
    return [Buffer(conditional + unconditional), nil]
  }
}
