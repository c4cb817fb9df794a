internal import CKernels

/// Functions applied to every element, split over the cores.
package enum Pointwise {
  package enum Function: Sendable {
    case silu, geluExact, geluTanh, geluSigmoid, sigmoid, tanh, relu, exp, erf
    case abs, sign, ceil, floor, round, exp2, sin, cos, tan, asin, acos, atan, sinh, cosh, atanh
    case sqrt, square
    /// `1 / √(x + ε)`, `1 / (x + ε)` and `ln(x + ε)`.
    case rsqrt(epsilon: Float), inverse(epsilon: Float), log(epsilon: Float)
    case clip(low: Float, high: Float)
  }

  package enum Combination: Sendable {
    case add, subtract, multiply, divide, maximum, minimum, power, floorDivide, modulo

    fileprivate var code: sd_binary_function {
      switch self {
      case .add: SD_ADD
      case .subtract: SD_SUBTRACT
      case .multiply: SD_MULTIPLY
      case .divide: SD_DIVIDE
      case .maximum: SD_MAXIMUM
      case .minimum: SD_MINIMUM
      case .power: SD_POWER
      case .floorDivide: SD_FLOOR_DIVIDE
      case .modulo: SD_MODULO
      }
    }
  }

  /// Elements for which a thread is worth waking.
  private static let grain = 32768

  package static func apply(_ function: Function, _ x: Buffer) -> Buffer {
    let y = Buffer(uninitialized: x.count)
    Parallel.ranges(x.count, grain: grain, multiple: 16) { range in
      let from = x.pointer + range.lowerBound
      let to = y.pointer + range.lowerBound
      let count = range.count
      if let code = function.activation {
        sd_apply(code, from, to, count)
      } else {
        let (code, a, b) = function.map
        sd_map(code, from, a, b, to, count)
      }
    }
    return y
  }

  /// `z = f(x, y)` with both operands stretched to `shape`.
  ///
  /// - Parameters: `xStrides`, `yStrides`: of each operand along the axes of `shape`, zero where it
  /// repeats.
  package static func combine(
    _ combination: Combination, _ x: Buffer, strides xStrides: [Int], _ y: Buffer,
    strides yStrides: [Int], shape: [Int]
  ) -> Buffer {
    let xView = StridedView(shape: shape, strides: xStrides)
    let yView = StridedView(shape: shape, strides: yStrides)
    precondition(xView.fits(x.count) && yView.fits(y.count), "operands of \(shape) are too short")
    let z = Buffer(uninitialized: xView.count)
    guard z.count > 0 else { return z }
    let (outer, inner) = merged(shape, xStrides, yStrides)
    let rows = outer.reduce(1) { $0 * $1.size }
    let code = combination.code
    let part: @Sendable (Int, Range<Int>) -> Void = { row, columns in
      var (rest, atX, atY) = (row, columns.lowerBound * inner.x, columns.lowerBound * inner.y)
      for axis in outer.reversed() {
        atX += rest % axis.size * axis.x
        atY += rest % axis.size * axis.y
        rest /= axis.size
      }
      sd_combine(
        code, x.pointer + atX, inner.x, y.pointer + atY, inner.y,
        z.pointer + row * inner.size + columns.lowerBound, columns.count)
    }
    if rows >= Parallel.threads {
      Parallel.ranges(rows, grain: max(1, grain / inner.size)) { rows in
        for row in rows { part(row, 0..<inner.size) }
      }
    } else {
      for row in 0..<rows {
        Parallel.ranges(inner.size, grain: grain, multiple: 16) { part(row, $0) }
      }
    }
    return z
  }

  private struct Axis {
    var size, x, y: Int
  }

  /// Joins axes along which both operands run on or both repeat; the last one has steps of 0 or 1.
  private static func merged(
    _ shape: [Int], _ xStrides: [Int], _ yStrides: [Int]
  ) -> (outer: [Axis], inner: Axis) {
    var axes: [Axis] = []
    for axis in shape.indices where shape[axis] != 1 {
      let next = Axis(size: shape[axis], x: xStrides[axis], y: yStrides[axis])
      if let last = axes.last, last.x == next.x * next.size, last.y == next.y * next.size {
        axes[axes.count - 1] = Axis(size: last.size * next.size, x: next.x, y: next.y)
      } else {
        axes.append(next)
      }
    }
    if let last = axes.last, last.x <= 1, last.y <= 1, last.x >= 0, last.y >= 0 {
      return (axes.dropLast(), last)
    }
    return (axes, Axis(size: 1, x: 0, y: 0))
  }
}

extension Pointwise.Function {
  fileprivate var activation: sd_function? {
    switch self {
    case .silu: SD_SILU
    case .geluExact: SD_GELU_ERF
    case .geluTanh: SD_GELU_TANH
    case .geluSigmoid: SD_GELU_QUICK
    case .sigmoid: SD_SIGMOID
    case .tanh: SD_TANH
    case .relu: SD_RELU
    case .exp: SD_EXP
    case .erf: SD_ERF
    default: nil
    }
  }

  fileprivate var map: (sd_map_function, Float, Float) {
    switch self {
    case .abs: (SD_MAP_ABS, 0, 0)
    case .sign: (SD_MAP_SIGN, 0, 0)
    case .ceil: (SD_MAP_CEIL, 0, 0)
    case .floor: (SD_MAP_FLOOR, 0, 0)
    case .round: (SD_MAP_ROUND, 0, 0)
    case .exp2: (SD_MAP_EXP2, 0, 0)
    case .sin: (SD_MAP_SIN, 0, 0)
    case .cos: (SD_MAP_COS, 0, 0)
    case .tan: (SD_MAP_TAN, 0, 0)
    case .asin: (SD_MAP_ASIN, 0, 0)
    case .acos: (SD_MAP_ACOS, 0, 0)
    case .atan: (SD_MAP_ATAN, 0, 0)
    case .sinh: (SD_MAP_SINH, 0, 0)
    case .cosh: (SD_MAP_COSH, 0, 0)
    case .atanh: (SD_MAP_ATANH, 0, 0)
    case .sqrt: (SD_MAP_SQRT, 0, 0)
    case .square: (SD_MAP_SQUARE, 0, 0)
    case .rsqrt(let epsilon): (SD_MAP_RSQRT, epsilon, 0)
    case .inverse(let epsilon): (SD_MAP_INVERSE, epsilon, 0)
    case .log(let epsilon): (SD_MAP_LOG, epsilon, 0)
    case .clip(let low, let high): (SD_MAP_CLIP, low, high)
    default: preconditionFailure("\(self) is an activation")
    }
  }
}
