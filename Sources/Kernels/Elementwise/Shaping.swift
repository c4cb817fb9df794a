internal import CKernels
internal import Foundation

/// Moving elements about: permuted axes, broadcasts, parts of rows, nearest-neighbour images.
package enum Shaping {
  /// `y[i, j, …] = x` with axis `a` of `y` being axis `order[a]` of `x`.
  package static func permute(_ x: Buffer, shape: [Int], order: [Int], into y: Buffer) {
    precondition(
      x.count == shape.reduce(1, *) && y.count == x.count
        && order.sorted() == Array(0..<shape.count), "permute \(shape) by \(order)")
    guard x.count > 0 else { return }
    let strides = strides(of: shape)
    let sizes = order.map { shape[$0] }
    let steps = order.map { strides[$0] }
    guard sizes.count > 1 else {
      y.pointer.update(from: x.pointer, count: x.count)
      return
    }
    let inner = sizes[sizes.count - 1]
    let step = steps[sizes.count - 1]
    let outer = x.count / inner
    Parallel.ranges(outer, grain: max(1, Elementwise.grain / inner)) { rows in
      var index = digits(of: rows.lowerBound, Array(sizes.dropLast()))
      for row in rows {
        var at = 0
        for axis in 0..<index.count { at += index[axis] * steps[axis] }
        let to = y.pointer + row * inner
        if step == 1 {
          to.update(from: x.pointer + at, count: inner)
        } else {
          for i in 0..<inner { to[i] = x.pointer[at + i * step] }
        }
        advance(&index, sizes)
      }
    }
  }

  /// `z = x ∘ y` where `y` has the rank of `x` and size 1 on the axes along which it repeats.
  package static func combine(
    _ x: Buffer, shape: [Int], _ operation: Elementwise.Operator, _ y: Buffer, repeated: [Int],
    into z: Buffer
  ) {
    let plan = Repetition(shape: shape, repeated: repeated)
    precondition(
      x.count == plan.count && z.count == plan.count && y.count == repeated.reduce(1, *),
      "broadcast \(repeated) to \(shape)")
    guard plan.count > 0 else { return }
    let inner = plan.inner
    Parallel.ranges(plan.count / inner, grain: max(1, Elementwise.grain / inner)) { rows in
      let spread = plan.innerRepeats ? Buffer(uninitialized: inner) : nil
      for row in rows {
        let from = y.pointer + plan.offset(row)
        if let spread { spread.pointer.update(repeating: from.pointee, count: inner) }
        Elementwise.combine(
          x.pointer + row * inner, operation, spread?.pointer ?? from,
          z.pointer + row * inner, inner)
      }
    }
  }

  /// Sums `x` over the axes on which `repeated` has size 1: the gradient of a broadcast.
  package static func reduce(_ x: Buffer, shape: [Int], to repeated: [Int]) -> Buffer {
    let plan = Repetition(shape: shape, repeated: repeated)
    precondition(x.count == plan.count, "reduce \(shape) to \(repeated)")
    let count = repeated.reduce(1, *)
    let sums = Buffer64(count: count)
    if plan.count > 0 {
      for row in 0..<plan.count / plan.inner {
        let from = x.pointer + row * plan.inner
        let to = sums.pointer + plan.offset(row)
        if plan.innerRepeats {
          to.pointee += sd_sum(from, plan.inner)
        } else {
          sd_column_sums(from, 1, plan.inner, to)
        }
      }
    }
    return Rows.total(sums, parts: 1, stride: count, offset: 0, count: count)
  }

  /// Copies `rows` pieces of `width` between buffers in which rows lie `stride` apart.
  package static func copyRows(
    _ x: Buffer, offset: Int = 0, stride: Int, into y: Buffer, at target: Int = 0,
    targetStride: Int, rows: Int, width: Int
  ) {
    guard rows > 0 else { return }
    precondition(
      offset + (rows - 1) * stride + width <= x.count
        && target + (rows - 1) * targetStride + width <= y.count, "rows outside their buffers")
    Parallel.ranges(rows, grain: max(1, Elementwise.grain / max(1, width))) { part in
      for row in part {
        (y.pointer + target + row * targetStride).update(
          from: x.pointer + offset + row * stride, count: width)
      }
    }
  }

  /// Rows of `table` by number.
  package static func gather(_ table: Buffer, rows: [Int], width: Int, into y: Buffer) {
    precondition(y.count == rows.count * width, "gather: \(rows.count) rows of \(width)")
    for (at, row) in rows.enumerated() {
      precondition(row >= 0 && (row + 1) * width <= table.count, "gather: row \(row)")
      (y.pointer + at * width).update(from: table.pointer + row * width, count: width)
    }
  }

  /// Adds the rows of `dy` to the rows of a zeroed table they were gathered from.
  package static func scatter(_ dy: Buffer, rows: [Int], width: Int, into table: Buffer) {
    precondition(dy.count == rows.count * width, "scatter: \(rows.count) rows of \(width)")
    memset(table.pointer, 0, table.count * 4)
    for (at, row) in rows.enumerated() {
      precondition(row >= 0 && (row + 1) * width <= table.count, "scatter: row \(row)")
      sd_accumulate(dy.pointer + at * width, 1, table.pointer + row * width, width)
    }
  }

  /// For each target row or column, the source one: torch's `nearest`, in 32-bit floats as torch has it.
  package static func nearest(_ size: Int, from source: Int) -> [Int] {
    let scale = Float(source) / Float(size)
    return (0..<size).map { min(Int(Float($0) * scale), source - 1) }
  }

  static func strides(of shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in stride(from: shape.count - 2, through: 0, by: -1) {
      strides[axis] = strides[axis + 1] * shape[axis + 1]
    }
    return strides
  }

  static func digits(of index: Int, _ sizes: [Int]) -> [Int] {
    var rest = index
    var digits = [Int](repeating: 0, count: sizes.count)
    for axis in stride(from: sizes.count - 1, through: 0, by: -1) {
      digits[axis] = rest % sizes[axis]
      rest /= sizes[axis]
    }
    return digits
  }

  static func advance(_ index: inout [Int], _ sizes: [Int]) {
    for axis in stride(from: index.count - 1, through: 0, by: -1) {
      index[axis] += 1
      if index[axis] < sizes[axis] { return }
      index[axis] = 0
    }
  }
}

/// Where the rows of a large array find their elements in a smaller one that repeats along some axes.
private struct Repetition: Sendable {
  let count: Int
  /// Length of the innermost run of axes that all repeat or all do not.
  let inner: Int
  let innerRepeats: Bool
  private let sizes: [Int]
  private let steps: [Int]

  init(shape: [Int], repeated: [Int]) {
    precondition(
      shape.count == repeated.count
        && zip(shape, repeated).allSatisfy { $0 == $1 || $1 == 1 },
      "\(repeated) does not broadcast to \(shape)")
    count = shape.reduce(1, *)
    var axis = shape.count
    var inner = 1
    var repeats: Bool?
    while axis > 0 {
      let size = shape[axis - 1]
      if size != 1 {
        let here = repeated[axis - 1] == 1
        if let repeats, repeats != here { break }
        repeats = here
      }
      inner *= size
      axis -= 1
    }
    self.inner = max(1, inner)
    innerRepeats = repeats ?? false
    sizes = Array(shape[..<axis])
    let strides = Shaping.strides(of: repeated)
    steps = (0..<axis).map { repeated[$0] == 1 ? 0 : strides[$0] }
  }

  func offset(_ row: Int) -> Int {
    var rest = row
    var at = 0
    for axis in stride(from: sizes.count - 1, through: 0, by: -1) {
      at += rest % sizes[axis] * steps[axis]
      rest /= sizes[axis]
    }
    return at
  }
}
