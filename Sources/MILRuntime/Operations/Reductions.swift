internal import Kernels
internal import MIL

/// Some axes of a shape taken together as one, the others before and behind it.
struct AxisGroup: Sendable {
  let layout: AxisLayout
  /// The order of axes that brings a scattered group together at the end; `nil` when it is together
  /// already.
  let order: [Int]?
  private let shape: [Int]

  init(_ shape: [Int], _ axes: [Int]) {
    self.shape = shape
    let axes = axes.sorted()
    let long = axes.filter { shape[$0] != 1 }
    let first = long.first ?? axes.first ?? shape.count
    let last = long.last ?? axes.first ?? shape.count - 1
    let between = first <= last ? (first...last).filter { shape[$0] != 1 } : []
    let width = axes.reduce(1) { $0 * shape[$1] }
    if between == long {
      order = nil
      layout = AxisLayout(
        outer: shape[..<first].reduce(1, *), width: width,
        inner: shape[min(shape.count, last + 1)...].reduce(1, *))
    } else {
      let kept = shape.indices.filter { !axes.contains($0) }
      order = kept + axes
      layout = AxisLayout(outer: kept.reduce(1) { $0 * shape[$1] }, width: width, inner: 1)
    }
  }

  private func ordered(_ order: [Int]) -> StridedView {
    let strides = TensorShape.strides(shape)
    return StridedView(shape: order.map { shape[$0] }, strides: order.map { strides[$0] })
  }

  /// The elements in the order of ``layout``.
  func gathered(_ x: Buffer) -> Buffer {
    guard let order else { return x }
    let y = Buffer(uninitialized: x.count)
    let view = ordered(order)
    StridedCopy.copy(x, view, into: y, StridedView(shape: view.shape))
    return y
  }

  func gathered(_ x: [Int32]) -> [Int32] { order.map { ordered($0).positions().map { x[$0] } } ?? x }

  /// The opposite of ``gathered(_:)``.
  func scattered(_ x: Buffer) -> Buffer {
    guard let order else { return x }
    let y = Buffer(uninitialized: x.count)
    let view = ordered(order)
    StridedCopy.copy(x, StridedView(shape: view.shape), into: y, view)
    return y
  }

  /// The shape without the group, or with ones in its place.
  static func reduced(_ shape: [Int], _ axes: [Int], keep: Bool) -> [Int] {
    keep
      ? shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
      : shape.indices.filter { !axes.contains($0) }.map { shape[$0] }
  }
}

/// Sums, means, extremes, products and norms over axes.
struct Reduction: MILOperation {
  static let kinds = [
    "reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum", "reduce_log_sum_exp", "reduce_max",
    "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "reduce_sum_square",
  ].map {
    OperationKind(
      $0,
      [
        .required("x", .numbers), .optional("axes", .integers), .optional("keep_dims", .boolean),
      ], Reduction.self)
  }

  let results: [TensorType]
  let group: AxisGroup
  /// Whether reduced axes stay, with one element each.
  let keepsDimensions: Bool
  private let shape: [Int]

  /// What is a number even of no elements.
  private static let sums = [
    "reduce_sum", "reduce_prod", "reduce_sum_square", "reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum",
  ]

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let axes = try call.axes("axes", rank: x.count, or: Array(x.indices))
    group = AxisGroup(x, axes)
    keepsDimensions = try call.boolean("keep_dims", or: false)
    shape = AxisGroup.reduced(x, axes, keep: keepsDimensions)
    results = [TensorType(try call.type("x"), shape)]
    guard group.layout.width > 0 || Self.sums.contains(call.operation) else {
      throw call.refuse("x", "elements to reduce", "\(x)")
    }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let value = try call.value("x")
    if case .integers(let values) = value.storage {
      if let y = reduce(values, call.operation) { return [RuntimeValue(value.type, shape, .integers(y))] }
      let y = try reduce(Buffer(values.map { Float($0) }), call)
      return [RuntimeValue(value.type, shape, .integers(y.elements.map(Cast.truncated)))]
    }
    guard let x = value.floats else { throw call.refuse("x", "numbers", "\(value.type)") }
    return [RuntimeValue(value.type, shape, try reduce(x, call))]
  }

  /// Whole numbers, of which sums and products keep the low 32 bits; nil for what is computed with fractions.
  private func reduce(_ x: [Int32], _ operation: String) -> [Int32]? {
    let combine: (Int32, Int32) -> Int32
    var start: Int32?
    switch operation {
    case "reduce_sum": (start, combine) = (0, { $0 &+ $1 })
    case "reduce_prod": (start, combine) = (1, { $0 &* $1 })
    case "reduce_sum_square": (start, combine) = (0, { $0 &+ $1 &* $1 })
    case "reduce_l1_norm": (start, combine) = (0, { $0 &+ ($1 < 0 ? 0 &- $1 : $1) })
    case "reduce_max": combine = max
    case "reduce_min": combine = min
    default: return nil
    }
    let x = group.gathered(x)
    let layout = group.layout
    return (0..<layout.outer * layout.inner).map { at in
      let first = at / layout.inner * layout.width * layout.inner + at % layout.inner
      let column = (0..<layout.width).lazy.map { x[first + $0 * layout.inner] }
      return column.dropFirst(start == nil ? 1 : 0).reduce(start ?? column[0], combine)
    }
  }

  private func reduce(_ x: Buffer, _ call: Call) throws(MILError) -> Buffer {
    let x = group.gathered(x)
    let layout = group.layout
    switch call.operation {
    case "reduce_sum": return AxisKernels.reduce(.sum, x, layout)
    case "reduce_mean":
      let sum = AxisKernels.reduce(.sum, x, layout)
      return Pointwise.combine(
        .divide, sum, strides: [1], Buffer([Float(layout.width)]), strides: [0], shape: [sum.count])
    case "reduce_max": return AxisKernels.reduce(.maximum, x, layout)
    case "reduce_min": return AxisKernels.reduce(.minimum, x, layout)
    case "reduce_prod": return AxisKernels.reduce(.product, x, layout)
    case "reduce_sum_square": return AxisKernels.reduce(.sumOfSquares, x, layout)
    case "reduce_l1_norm": return AxisKernels.reduce(.sumOfMagnitudes, x, layout)
    case "reduce_l2_norm":
      return Pointwise.apply(.sqrt, AxisKernels.reduce(.sumOfSquares, x, layout))
    case "reduce_log_sum":
      return Pointwise.apply(.log(epsilon: 0), AxisKernels.reduce(.sum, x, layout))
    default: return logarithmOfSum(x, layout)
    }
  }

  /// `ln Σ exp(x)`, with the maximum taken out first.
  private func logarithmOfSum(_ x: Buffer, _ layout: AxisLayout) -> Buffer {
    let peak = AxisKernels.reduce(.maximum, x, layout)
    let shape = [layout.outer, layout.width, layout.inner]
    let shifted = Pointwise.combine(
      .subtract, x, strides: TensorShape.strides(shape), peak, strides: [layout.inner, 0, 1],
      shape: shape)
    let sum = AxisKernels.reduce(.sum, Pointwise.apply(.exp, shifted), layout)
    return Pointwise.combine(
      .add, Pointwise.apply(.log(epsilon: 0), sum), strides: [1], peak, strides: [1],
      shape: [sum.count])
  }
}

/// The first place of the largest or smallest element along an axis.
struct ArgumentOfExtreme: MILOperation {
  static let kinds = ["reduce_argmax", "reduce_argmin"].map {
    OperationKind(
      $0,
      [
        .required("x", .numbers), .optional("axis", .integers), .optional("keep_dims", .boolean),
        .optional("output_dtype", .text),
      ], ArgumentOfExtreme.self)
  }

  let results: [TensorType]
  private let layout: AxisLayout
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let axis = try call.axis("axis", rank: x.count, or: -1)
    layout = AxisGroup(x, [axis]).layout
    shape = AxisGroup.reduced(x, [axis], keep: try call.boolean("keep_dims", or: false))
    let name = try call.text("output_dtype", or: "int32")
    guard let type = [DataType.int32, .uint16].first(where: { $0.description == name }) else {
      throw call.refuse("output_dtype", "int32 or uint16", "'\(name)'")
    }
    results = [TensorType(type, shape)]
    guard layout.width > 0 else { throw call.refuse("x", "elements along the axis", "\(x)") }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    let places: [Int32]
    if let integers = x.wholeNumbers {
      places = extremes(integers, largest: call.operation == "reduce_argmax")
    } else {
      places = extremes(x.floats?.elements ?? [], largest: call.operation == "reduce_argmax")
    }
    return [RuntimeValue(results[0].dataType, shape, .integers(places))]
  }

  private func extremes<Number: Comparable>(_ x: [Number], largest: Bool) -> [Int32] {
    (0..<layout.outer * layout.inner).map { at in
      let first = at / layout.inner * layout.width * layout.inner + at % layout.inner
      var best = 0
      for place in 1..<max(1, layout.width) {
        let (here, there) = (x[first + place * layout.inner], x[first + best * layout.inner])
        if largest ? here > there : here < there { best = place }
      }
      return Int32(best)
    }
  }
}

/// `exp(x) / Σ exp(x)` along an axis.
struct Softmax: MILOperation {
  static let kinds = [
    OperationKind(
      "softmax", [.required("x", .floats), .optional("axis", .integers)], Softmax.self)
  ]

  let results: [TensorType]
  let layout: AxisLayout

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    layout = AxisGroup(x, [try call.axis("axis", rank: x.count, or: -1)]).layout
    results = [TensorType(try call.type("x"), x)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    return [RuntimeValue(x.type, x.shape, AxisKernels.softmax(floats, layout))]
  }
}
