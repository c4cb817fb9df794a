internal import CKernels

/// Element-wise arithmetic over whole buffers.
package enum Elementwise {
  /// A function of one variable with a derivative.
  package enum Function: String, Sendable, CaseIterable {
    case silu, geluErf = "gelu_erf", geluTanh = "gelu_tanh", geluQuick = "gelu_quick", sigmoid,
      tanh, relu

    var code: sd_function {
      switch self {
      case .silu: SD_SILU
      case .geluErf: SD_GELU_ERF
      case .geluTanh: SD_GELU_TANH
      case .geluQuick: SD_GELU_QUICK
      case .sigmoid: SD_SIGMOID
      case .tanh: SD_TANH
      case .relu: SD_RELU
      }
    }
  }

  /// Elements below which a second thread costs more than it saves.
  static let grain = 16_384

  package static func apply(_ function: Function, _ x: Buffer, into y: Buffer) {
    check(x, y)
    Parallel.ranges(x.count, grain: grain, multiple: 16) { part in
      sd_apply(
        function.code, x.pointer + part.lowerBound, y.pointer + part.lowerBound, part.count)
    }
  }

  /// `dx = dy f'(x)`.
  package static func gradient(of function: Function, _ x: Buffer, dy: Buffer, into dx: Buffer) {
    check(x, dy)
    check(x, dx)
    Parallel.ranges(x.count, grain: grain, multiple: 16) { part in
      let at = part.lowerBound
      sd_apply_gradient(
        function.code, x.pointer + at, dy.pointer + at, dx.pointer + at, part.count)
    }
  }

  package enum Operator: String, Sendable { case add, subtract, multiply }

  /// `z = x ∘ y`; `z` may be `x` or `y`.
  package static func combine(_ x: Buffer, _ operation: Operator, _ y: Buffer, into z: Buffer) {
    check(x, y)
    check(x, z)
    Parallel.ranges(x.count, grain: grain, multiple: 16) { part in
      let at = part.lowerBound
      combine(x.pointer + at, operation, y.pointer + at, z.pointer + at, part.count)
    }
  }

  static func combine(
    _ x: UnsafePointer<Float>, _ operation: Operator, _ y: UnsafePointer<Float>,
    _ z: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    switch operation {
    case .add: sd_add(x, y, z, count)
    case .subtract: sd_subtract(x, y, z, count)
    case .multiply: sd_multiply(x, y, z, count)
    }
  }

  /// `y = factor x`.
  package static func scale(_ x: Buffer, by factor: Float, into y: Buffer) {
    check(x, y)
    Parallel.ranges(x.count, grain: grain, multiple: 16) { part in
      sd_scale(x.pointer + part.lowerBound, factor, y.pointer + part.lowerBound, part.count)
    }
  }

  /// `y += factor x`.
  package static func accumulate(_ x: Buffer, by factor: Float = 1, into y: Buffer) {
    check(x, y)
    Parallel.ranges(x.count, grain: grain, multiple: 16) { part in
      sd_accumulate(x.pointer + part.lowerBound, factor, y.pointer + part.lowerBound, part.count)
    }
  }

  /// Sums over a fixed grid of parts, so that the result does not depend on the thread count.
  private static func reduce(
    _ count: Int, _ part: @escaping @Sendable (Int, Int) -> Double
  ) -> Double {
    let length = 65_536
    let parts = max(1, (count + length - 1) / length)
    let sums = Buffer64(count: parts)
    Parallel.forEach(parts) { index in
      let start = index * length
      sums.pointer[index] = part(start, min(length, count - start))
    }
    return (0..<parts).reduce(0) { $0 + sums.pointer[$1] }
  }

  package static func sum(_ x: Buffer) -> Double {
    reduce(x.count) { start, count in sd_sum(x.pointer + start, count) }
  }

  package static func sumOfSquares(_ x: Buffer) -> Double {
    reduce(x.count) { start, count in sd_sum_of_squares(x.pointer + start, count) }
  }

  /// Population variance of a part of a buffer.
  package static func variance(_ x: Buffer, _ range: Range<Int>) -> Double {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= x.count && !range.isEmpty,
      "variance of \(range) of \(x.count)")
    let start = range.lowerBound
    let count = Double(range.count)
    let mean = reduce(range.count) { at, count in sd_sum(x.pointer + start + at, count) } / count
    let square = reduce(range.count) { at, count in sd_sum_of_squares(x.pointer + start + at, count) }
    return max(0, square / count - mean * mean)
  }

  package static func sumOfSquaredDifferences(_ x: Buffer, _ y: Buffer) -> Double {
    check(x, y)
    return reduce(x.count) { start, count in
      sd_sum_of_squared_differences(x.pointer + start, y.pointer + start, count)
    }
  }

  /// `y = value ⊙ gelu(gate)` for rows `[value | gate]` of `2 width` each.
  package static func geglu(_ x: Buffer, into y: Buffer, width: Int) {
    precondition(x.count == 2 * y.count && y.count % max(1, width) == 0, "GEGLU: width \(width)")
    Parallel.ranges(y.count / max(1, width), grain: grain / max(1, width)) { rows in
      let at = rows.lowerBound * width
      sd_geglu(x.pointer + 2 * at, y.pointer + at, rows.count, width)
    }
  }

  package static func gegluGradient(_ x: Buffer, dy: Buffer, into dx: Buffer, width: Int) {
    check(x, dx)
    precondition(x.count == 2 * dy.count, "GEGLU: width \(width)")
    Parallel.ranges(dy.count / max(1, width), grain: grain / max(1, width)) { rows in
      let at = rows.lowerBound * width
      sd_geglu_gradient(
        x.pointer + 2 * at, dy.pointer + at, dx.pointer + 2 * at, rows.count, width)
    }
  }

  private static func check(_ x: Buffer, _ y: Buffer) {
    precondition(x.count == y.count, "element-wise: \(x.count) and \(y.count) elements")
  }
}

/// A block of doubles for sums.
final class Buffer64: @unchecked Sendable {
  let count: Int
  let pointer: UnsafeMutablePointer<Double>

  init(count: Int) {
    self.count = count
    pointer = .allocate(capacity: max(1, count))
    pointer.initialize(repeating: 0, count: max(1, count))
  }

  deinit { pointer.deallocate() }
}
