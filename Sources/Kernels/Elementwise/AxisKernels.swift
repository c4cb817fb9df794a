internal import CKernels

/// A tensor seen from one axis: `[outer, width, inner]`, row-major.
package struct AxisLayout: Sendable, Equatable {
  package let outer, width, inner: Int

  package init(outer: Int, width: Int, inner: Int) {
    self.outer = outer
    self.width = width
    self.inner = inner
  }

  package var count: Int { outer * width * inner }

  /// Calls `body` for every slab and part of its columns, some at the same time.
  fileprivate func forEach(_ body: @Sendable (_ slab: Int, _ columns: Range<Int>) -> Void) {
    guard outer > 0, inner > 0 else { return }
    // Some ten thousand elements are worth waking a thread; columns are cut along cache lines.
    let grain = 16384
    if outer >= Parallel.threads {
      Parallel.ranges(outer, grain: max(1, grain / max(1, width * inner))) { slabs in
        for slab in slabs { body(slab, 0..<inner) }
      }
    } else {
      for slab in 0..<outer {
        Parallel.ranges(inner, grain: max(1, grain / max(1, width)), multiple: 64) {
          body(slab, $0)
        }
      }
    }
  }
}

/// Reductions and normalizations along an axis.
package enum AxisKernels {
  package enum Reduction: Sendable {
    case sum, maximum, minimum, product, sumOfSquares, sumOfMagnitudes

    fileprivate var code: sd_reduction {
      switch self {
      case .sum: SD_SUM
      case .maximum: SD_MAX
      case .minimum: SD_MIN
      case .product: SD_PRODUCT
      case .sumOfSquares: SD_SUM_OF_SQUARES
      case .sumOfMagnitudes: SD_SUM_OF_MAGNITUDES
      }
    }
  }

  /// - Returns: `[outer, inner]`
  package static func reduce(_ reduction: Reduction, _ x: Buffer, _ layout: AxisLayout) -> Buffer {
    precondition(layout.count == x.count, "reduction of \(layout) over \(x.count) elements")
    let y = Buffer(uninitialized: layout.outer * layout.inner)
    layout.forEach { slab, columns in
      sd_reduce_axis(
        reduction.code, x.pointer + slab * layout.width * layout.inner, layout.width,
        layout.inner, columns.lowerBound, columns.upperBound, y.pointer + slab * layout.inner)
    }
    return y
  }

  /// `exp(x) / Σ exp(x)` along the axis.
  package static func softmax(_ x: Buffer, _ layout: AxisLayout) -> Buffer {
    precondition(layout.count == x.count, "softmax of \(layout) over \(x.count) elements")
    let y = Buffer(uninitialized: x.count)
    guard y.count > 0 else { return y }
    layout.forEach { slab, columns in
      let start = slab * layout.width * layout.inner
      if layout.inner == 1 {
        (y.pointer + start).update(from: x.pointer + start, count: layout.width)
        sd_softmax(y.pointer + start, 1, layout.width, layout.width, 1)
      } else {
        sd_softmax_axis(
          x.pointer + start, layout.width, layout.inner, columns.lowerBound, columns.upperBound,
          y.pointer + start)
      }
    }
    return y
  }

  /// `(x − μ) / √(σ² + ε) · weight + bias` along the axis.
  ///
  /// - Parameters: `weight`, `bias`: `[width]`
  package static func normalize(
    _ x: Buffer, _ layout: AxisLayout, weight: Buffer?, bias: Buffer?, epsilon: Float
  ) -> Buffer {
    precondition(layout.count == x.count, "normalization of \(layout) over \(x.count) elements")
    precondition(
      (weight?.count ?? layout.width) == layout.width
        && (bias?.count ?? layout.width) == layout.width,
      "normalization over \(layout.width) with another number of weights")
    let y = Buffer(uninitialized: x.count)
    guard y.count > 0 else { return y }
    layout.forEach { slab, columns in
      let start = slab * layout.width * layout.inner
      if layout.inner == 1 {
        sd_layer_norm(
          x.pointer + start, weight?.pointer, bias?.pointer, epsilon, y.pointer + start, nil, nil,
          1, layout.width)
      } else {
        sd_normalize_axis(
          x.pointer + start, layout.width, layout.inner, columns.lowerBound, columns.upperBound,
          weight?.pointer, bias?.pointer, epsilon, y.pointer + start)
      }
    }
    return y
  }

  /// `y = x · scale[channel] + shift[channel]`, the channel being the axis.
  package static func scaleShift(
    _ x: Buffer, _ layout: AxisLayout, scale: Buffer, shift: Buffer
  ) -> Buffer {
    precondition(
      layout.count == x.count && scale.count == layout.width && shift.count == layout.width,
      "scale of \(layout) over \(x.count) elements")
    let y = Buffer(uninitialized: x.count)
    let rows = layout.outer * layout.width
    Parallel.ranges(rows, grain: max(1, 16384 / max(1, layout.inner))) { rows in
      for row in rows {
        let channel = row % layout.width
        let start = row * layout.inner
        sd_scale_shift(
          x.pointer + start, scale.pointer[channel], shift.pointer[channel], y.pointer + start,
          layout.inner)
      }
    }
    return y
  }
}
