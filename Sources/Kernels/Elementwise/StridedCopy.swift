internal import CKernels

/// A tensor laid over flat memory: element `[i, j, …]` is at `offset + i·strides[0] + j·strides[1]
/// + …`.
///
/// Strides may be zero (the element repeats) or negative (the axis runs backwards).
package struct StridedView: Sendable, Equatable {
  package var shape: [Int]
  package var strides: [Int]
  package var offset: Int

  package init(shape: [Int], strides: [Int], offset: Int = 0) {
    precondition(shape.count == strides.count, "view of \(shape) with \(strides.count) strides")
    self.shape = shape
    self.strides = strides
    self.offset = offset
  }

  /// Row-major and without gaps.
  package init(shape: [Int], offset: Int = 0) {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * max(1, shape[axis + 1])
    }
    self.init(shape: shape, strides: strides, offset: offset)
  }

  package var count: Int { shape.reduce(1, *) }

  /// Whether every element lies below `limit`.
  func fits(_ limit: Int) -> Bool {
    guard count > 0 else { return true }
    var low = offset
    var high = offset
    for (size, stride) in zip(shape, strides) {
      if stride < 0 { low += (size - 1) * stride } else { high += (size - 1) * stride }
    }
    return low >= 0 && high < limit
  }

  /// Memory positions of all elements in row-major order, for data that no kernel moves.
  package func positions() -> [Int] {
    guard count > 0 else { return [] }
    var positions = [offset]
    for (size, stride) in zip(shape, strides) {
      positions = positions.flatMap { start in (0..<size).map { start + $0 * stride } }
    }
    return positions
  }
}

/// Copies between views: transposition, slicing, joining, repeating and padding are all this.
package enum StridedCopy {
  /// Copies every element of `source` in `x` to the same index of `target` in `y`.
  ///
  /// - Precondition: equal shapes, both inside their buffers; no element of `target` occurs twice.
  package static func copy(
    _ x: Buffer, _ source: StridedView, into y: Buffer, _ target: StridedView
  ) {
    precondition(source.shape == target.shape, "copy of \(source.shape) into \(target.shape)")
    precondition(
      source.fits(x.count) && target.fits(y.count), "copy of \(source.shape) leaves its buffers")
    guard source.count > 0 else { return }
    let axes = merged(source, target)
    let rank = axes.count
    let columns = axes[rank - 1]
    let rows = rank > 1 ? axes[rank - 2] : Axis(size: 1, source: 0, target: 0)
    let outer = Array(axes.dropLast(2))
    let planes = outer.reduce(1) { $0 * $1.size }
    let plane: @Sendable (Int, Range<Int>) -> Void = { index, part in
      var rest = index
      var from = source.offset + part.lowerBound * rows.source
      var to = target.offset + part.lowerBound * rows.target
      for axis in outer.reversed() {
        from += rest % axis.size * axis.source
        to += rest % axis.size * axis.target
        rest /= axis.size
      }
      sd_copy_plane(
        x.pointer + from, rows.source, columns.source, y.pointer + to, rows.target,
        columns.target, part.count, columns.size)
    }
    // Below some ten thousand elements, waking a thread costs more than it saves.
    let grain = 16384
    if planes >= Parallel.threads {
      Parallel.ranges(planes, grain: max(1, grain / (rows.size * columns.size))) { planes in
        for index in planes { plane(index, 0..<rows.size) }
      }
    } else {
      for index in 0..<planes {
        Parallel.ranges(rows.size, grain: max(1, grain / columns.size)) { plane(index, $0) }
      }
    }
  }

  private struct Axis {
    var size, source, target: Int
  }

  /// Drops axes of one and joins neighbours that are contiguous in both views, so that the inner
  /// loops are long.
  private static func merged(_ source: StridedView, _ target: StridedView) -> [Axis] {
    var axes: [Axis] = []
    for axis in source.shape.indices where source.shape[axis] != 1 {
      let next = Axis(
        size: source.shape[axis], source: source.strides[axis], target: target.strides[axis])
      if let last = axes.last, last.source == next.source * next.size,
        last.target == next.target * next.size
      {
        axes[axes.count - 1] = Axis(
          size: last.size * next.size, source: next.source, target: next.target)
      } else {
        axes.append(next)
      }
    }
    return axes.isEmpty ? [Axis(size: 1, source: 0, target: 0)] : axes
  }
}

extension Buffer {
  /// Copies `range` of `source` to the place that begins at `offset`.
  package func copy(from source: Buffer, _ range: Range<Int>, at offset: Int) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= source.count && offset >= 0
        && offset + range.count <= count, "copy of \(range) leaves its buffers")
    (pointer + offset).update(from: source.pointer + range.lowerBound, count: range.count)
  }
}
