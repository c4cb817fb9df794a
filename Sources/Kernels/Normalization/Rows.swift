internal import CKernels

/// Softmax and layer normalization along the last axis.
package enum Rows {
  /// `y = exp(scale x) / Σ exp(scale x)` over rows of `width`.
  package static func softmax(_ x: Buffer, width: Int, scale: Float = 1, into y: Buffer) {
    let rows = rows(x, y, width)
    Parallel.ranges(rows, grain: max(1, Elementwise.grain / 4 / max(1, width))) { part in
      let at = part.lowerBound * width
      if y !== x { (y.pointer + at).update(from: x.pointer + at, count: part.count * width) }
      sd_softmax(y.pointer + at, part.count, width, width, scale)
    }
  }

  /// `dx = y ⊙ (dy − Σ y ⊙ dy)`.
  package static func softmaxGradient(_ y: Buffer, dy: Buffer, width: Int, into dx: Buffer) {
    let rows = rows(y, dx, width)
    precondition(dy.count == y.count, "softmax: gradient of \(dy.count) for \(y.count) elements")
    Parallel.ranges(rows, grain: max(1, Elementwise.grain / max(1, width))) { part in
      let at = part.lowerBound * width
      sd_softmax_gradient(
        y.pointer + at, dy.pointer + at, dx.pointer + at, part.count, width, 1)
    }
  }

  /// `y = (x − mean) / √(variance + epsilon) ⊙ weight + bias` over rows of `width`.
  ///
  /// - Returns: mean and reciprocal standard deviation of every row.
  package static func layerNorm(
    _ x: Buffer, weight: Buffer?, bias: Buffer?, epsilon: Float, width: Int, into y: Buffer
  ) -> (mean: Buffer, deviation: Buffer) {
    let rows = rows(x, y, width)
    precondition(
      (weight?.count ?? width) == width && (bias?.count ?? width) == width,
      "layer norm of \(width) features: weight or bias of another length")
    let mean = Buffer(uninitialized: rows)
    let deviation = Buffer(uninitialized: rows)
    Parallel.ranges(rows, grain: max(1, Elementwise.grain / max(1, width))) { part in
      let at = part.lowerBound * width
      sd_layer_norm(
        x.pointer + at, weight?.pointer, bias?.pointer, epsilon, y.pointer + at,
        mean.pointer + part.lowerBound, deviation.pointer + part.lowerBound, part.count, width)
    }
    return (mean, deviation)
  }

  /// Gradients of ``layerNorm(_:weight:bias:epsilon:width:into:)``.
  package static func layerNormGradient(
    _ x: Buffer, weight: Buffer?, dy: Buffer, mean: Buffer, deviation: Buffer, width: Int,
    into dx: Buffer
  ) -> (dweight: Buffer, dbias: Buffer) {
    let rows = rows(x, dx, width)
    precondition(dy.count == x.count && mean.count == rows, "layer norm: gradient of another shape")
    let parts = sumParts(rows)
    let sums = Buffer64(count: parts * 2 * width)
    let length = (rows + parts - 1) / parts
    Parallel.forEach(parts) { part in
      let first = part * length
      let count = min(length, rows - first)
      guard count > 0 else { return }
      let at = first * width
      sd_layer_norm_gradient(
        x.pointer + at, weight?.pointer, dy.pointer + at, mean.pointer + first,
        deviation.pointer + first, dx.pointer + at, sums.pointer + part * 2 * width,
        sums.pointer + part * 2 * width + width, count, width)
    }
    return (
      total(sums, parts: parts, stride: 2 * width, offset: 0, count: width),
      total(sums, parts: parts, stride: 2 * width, offset: width, count: width)
    )
  }

  /// Adds `bias` to every row of `y`.
  package static func add(_ bias: Buffer, toRowsOf y: Buffer, width: Int) {
    precondition(bias.count == width && y.count % max(1, width) == 0, "bias of \(bias.count)")
    Parallel.ranges(y.count / max(1, width), grain: max(1, Elementwise.grain / max(1, width))) {
      part in
      sd_add_to_rows(y.pointer + part.lowerBound * width, bias.pointer, part.count, width)
    }
  }

  /// The sum over rows: `[rows, width]` to `[width]`.
  package static func columnSums(_ x: Buffer, width: Int) -> Buffer {
    let rows = x.count / max(1, width)
    let parts = sumParts(rows)
    let sums = Buffer64(count: parts * width)
    let length = (rows + parts - 1) / parts
    Parallel.forEach(parts) { part in
      let first = part * length
      guard first < rows else { return }
      sd_column_sums(
        x.pointer + first * width, min(length, rows - first), width,
        sums.pointer + part * width)
    }
    return total(sums, parts: parts, stride: width, offset: 0, count: width)
  }

  /// A grid that depends on the length only, so that sums have the same bits on any number of threads.
  static func sumParts(_ rows: Int) -> Int { max(1, min(16, rows / 128)) }

  static func total(
    _ sums: Buffer64, parts: Int, stride: Int, offset: Int, count: Int
  ) -> Buffer {
    Buffer(count: count) { y in
      for i in 0..<count {
        y[i] = Float((0..<parts).reduce(0.0) { $0 + sums.pointer[$1 * stride + offset + i] })
      }
    }
  }

  private static func rows(_ x: Buffer, _ y: Buffer, _ width: Int) -> Int {
    precondition(
      width > 0 && x.count == y.count && x.count % width == 0,
      "rows of \(width) in \(x.count) and \(y.count) elements")
    return x.count / width
  }
}
