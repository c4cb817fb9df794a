internal import Kernels
internal import MIL

extension RuntimeValue {
  /// A tensor put together from parts, each laid into its own view of the result.
  static func assembled(
    _ type: DataType, _ shape: [Int], _ parts: [(value: RuntimeValue, target: StridedView)]
  ) -> RuntimeValue {
    let count = shape.reduce(1, *)
    guard let first = parts.first else {
      return type.isFloat
        ? RuntimeValue(type, shape, Buffer(uninitialized: count))
        : RuntimeValue(type, shape, type == .bool ? .booleans([]) : .integers([]))
    }
    switch first.value.storage {
    case .integers:
      var y = [Int32](repeating: 0, count: count)
      for part in parts {
        guard case .integers(let x) = part.value.storage else { continue }
        for (from, to) in part.target.positions().enumerated() { y[to] = x[from] }
      }
      return RuntimeValue(type, shape, .integers(y))
    case .booleans:
      var y = [Bool](repeating: false, count: count)
      for part in parts {
        guard case .booleans(let x) = part.value.storage else { continue }
        for (from, to) in part.target.positions().enumerated() { y[to] = x[from] }
      }
      return RuntimeValue(type, shape, .booleans(y))
    default:
      let y = Buffer(uninitialized: count)
      for part in parts {
        guard let x = part.value.floats else { continue }
        StridedCopy.copy(x, StridedView(shape: part.target.shape), into: y, part.target)
      }
      return RuntimeValue(type, shape, .floats(y))
    }
  }
}

/// Tensors one behind the other along an axis, or element by element in turn.
struct Concatenation: MILOperation {
  static let kinds = [
    OperationKind(
      "concat",
      [
        .required("values", .several), .required("axis", .integers),
        .optional("interleave", .boolean),
      ], Concatenation.self)
  ]

  let results: [TensorType]
  private let shape: [Int]
  /// Where each value lies in the result.
  let targets: [StridedView]

  init(_ call: Call) throws(MILError) {
    let values = try call.types("values")
    // Scalars are joined to a vector.
    let shapes = values.map { $0.shape.isEmpty ? [1] : $0.shape }
    guard let first = shapes.first else { throw call.refuse("values", "tensors", "none") }
    let axis = try call.axis("axis", rank: first.count)
    let interleave = try call.boolean("interleave", or: false)
    for (shape, value) in zip(shapes, values) {
      guard shape.count == first.count, value.type.isFloat == values[0].type.isFloat,
        (value.type == .bool) == (values[0].type == .bool),
        shape.indices.allSatisfy({ shape[$0] == first[$0] || ($0 == axis && !interleave) })
      else { throw call.refuse("values", "shapes that go with \(first)", "\(shape)") }
    }
    var whole = first
    whole[axis] = shapes.reduce(0) { $0 + $1[axis] }
    guard TensorShape.count(whole) != nil else {
      throw .tooLarge(call.place, what: "a tensor of \(whole)", limit: "\(TensorShape.limit) elements")
    }
    var targets: [StridedView] = []
    var start = 0
    for (index, shape) in shapes.enumerated() {
      var target = StridedView(shape: shape, strides: TensorShape.strides(whole))
      target.offset = (interleave ? index : start) * target.strides[axis]
      if interleave { target.strides[axis] *= shapes.count }
      targets.append(target)
      start += shape[axis]
    }
    self.targets = targets
    shape = whole
    results = [TensorType(values[0].type, whole)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let parts = zip(try call.values("values"), targets).filter { $0.1.count > 0 }
    return [
      .assembled(results[0].dataType, shape, parts.map { (value: $0.0, target: $0.1) })
    ]
  }
}

/// Tensors of one shape along a new axis.
struct Stack: MILOperation {
  static let kinds = [
    OperationKind(
      "stack", [.required("values", .several), .required("axis", .integers)], Stack.self)
  ]

  let results: [TensorType]
  private let shape: [Int]
  private let targets: [StridedView]

  init(_ call: Call) throws(MILError) {
    let values = try call.types("values")
    guard let first = values.first, values.allSatisfy({ $0.shape == first.shape }),
      values.allSatisfy({ $0.type == first.type })
    else { throw call.refuse("values", "tensors of one shape and type", "others") }
    let axis = try call.axis("axis", rank: first.shape.count + 1)
    var shape = first.shape
    shape.insert(values.count, at: axis)
    guard TensorShape.count(shape) != nil else {
      throw .tooLarge(call.place, what: "a tensor of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    var strides = TensorShape.strides(shape)
    let step = strides.remove(at: axis)
    self.shape = shape
    targets = values.indices.map {
      StridedView(shape: first.shape, strides: strides, offset: $0 * step)
    }
    results = [TensorType(first.type, shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let parts = zip(try call.values("values"), targets).map { (value: $0, target: $1) }
    return [.assembled(results[0].dataType, shape, parts)]
  }
}

/// A border of a constant, of mirrored or of repeated elements around the last axes.
struct Padding: MILOperation {
  static let kinds = [
    OperationKind(
      "pad",
      [
        .required("x", .floats), .required("pad", .integers), .optional("mode", .text),
        .optional("constant_val", .number),
      ], Padding.self)
  ]

  private enum Mode: String { case constant, reflect, replicate }

  let results: [TensorType]
  private let shape: [Int]
  /// Elements before each axis.
  private let before: [Int]
  private let mode: Mode
  private let constant: Float

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let pad = try call.integers("pad")
    guard pad.count % 2 == 0, pad.count / 2 <= x.count, pad.allSatisfy({ $0 >= 0 }) else {
      throw call.refuse("pad", "pairs of 0 or more for at most \(x.count) axes", "\(pad)")
    }
    let name = try call.text("mode", or: "constant")
    guard let mode = Mode(rawValue: name) else {
      throw call.refuse("mode", "constant, reflect or replicate", "'\(name)'")
    }
    self.mode = mode
    constant = try call.number("constant_val", or: 0)
    let first = x.count - pad.count / 2
    var shape = x
    var before = [Int](repeating: 0, count: x.count)
    for axis in first..<x.count {
      let (low, high) = (pad[2 * (axis - first)], pad[2 * (axis - first) + 1])
      guard mode == .constant || x[axis] > (mode == .reflect ? max(low, high) : 0) else {
        throw call.refuse("pad", "less than \(x[axis]) elements", "\(low) and \(high)")
      }
      before[axis] = low
      shape[axis] += low + high
    }
    guard TensorShape.count(shape) != nil else {
      throw .tooLarge(call.place, what: "a tensor of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    (self.shape, self.before) = (shape, before)
    results = [TensorType(try call.type("x"), shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    if mode == .constant {
      let y = Buffer(repeating: constant, count: shape.reduce(1, *))
      let strides = TensorShape.strides(shape)
      let offset = zip(before, strides).reduce(0) { $0 + $1.0 * $1.1 }
      StridedCopy.copy(
        floats, StridedView(shape: x.shape), into: y,
        StridedView(shape: x.shape, strides: strides, offset: offset))
      return [RuntimeValue(x.type, shape, y)]
    }
    var positions = [0]
    let strides = TensorShape.strides(x.shape)
    for axis in shape.indices {
      let sources = (0..<shape[axis]).map {
        source($0 - before[axis], x.shape[axis]) * strides[axis]
      }
      positions = positions.flatMap { start in sources.map { start + $0 } }
    }
    return [x.picked(positions, shape: shape)]
  }

  /// The place inside `0..<size` whose element stands at `place`.
  private func source(_ place: Int, _ size: Int) -> Int {
    mode == .replicate
      ? min(max(place, 0), size - 1)
      : place < 0 ? -place : place >= size ? 2 * (size - 1) - place : place
  }
}
