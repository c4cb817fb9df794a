internal import Kernels
internal import MIL

/// `cond ? a : b`, broadcast.
struct Selection: MILOperation {
  static let kinds = [
    OperationKind(
      "select",
      [.required("cond", .booleanTensor), .required("a", .any), .required("b", .any)],
      Selection.self)
  ]

  let results: [TensorType]
  private let broadcast: Broadcast

  init(_ call: Call) throws(MILError) {
    let values = try Broadcast(try call.shape("a"), try call.shape("b"), call)
    broadcast = try Broadcast(try call.shape("cond"), values.shape, call)
    guard try call.type("a") == call.type("b") else {
      throw call.refuse("b", "\(try call.type("a"))", "\(try call.type("b"))")
    }
    results = [TensorType(try call.type("a"), broadcast.shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let (a, b) = (try call.value("a"), try call.value("b"))
    let cond = try call.booleans("cond", or: [])
    let picks = broadcast.positions(try call.shape("cond")).map { cond[$0] }
    let (fromA, fromB) = (broadcast.positions(a.shape), broadcast.positions(b.shape))
    func choose<Element>(_ a: [Element], _ b: [Element]) -> [Element] {
      picks.indices.map { picks[$0] ? a[fromA[$0]] : b[fromB[$0]] }
    }
    let storage: RuntimeValue.Storage
    switch (a.storage, b.storage) {
    case (.integers(let a), .integers(let b)): storage = .integers(choose(a, b))
    case (.booleans(let a), .booleans(let b)): storage = .booleans(choose(a, b))
    default:
      storage = .floats(Buffer(choose(a.floats?.elements ?? [], b.floats?.elements ?? [])))
    }
    return [RuntimeValue(a.type, broadcast.shape, storage)]
  }
}

/// Coordinates of the elements that are not zero: `[N, rank]`, N as the data have it.
struct NonZero: MILOperation {
  static let kinds = [OperationKind("non_zero", [.required("x", .any)], NonZero.self)]

  let results: [TensorType]
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    shape = try call.shape("x")
    results = [TensorType(.int32, [nil, shape.count])]
    guard let count = TensorShape.count(shape), TensorShape.count([count, shape.count]) != nil else {
      throw .tooLarge(call.place, what: "coordinates of \(shape)", limit: "\(TensorShape.limit)")
    }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    let truths = x.wholeNumbers?.map { $0 != 0 } ?? (x.floats?.elements ?? []).map { $0 != 0 }
    let strides = TensorShape.strides(shape)
    var coordinates: [Int32] = []
    for (at, truth) in truths.enumerated() where truth {
      for axis in shape.indices {
        coordinates.append(Int32(at / strides[axis] % shape[axis]))
      }
    }
    let count = truths.count { $0 }
    return [RuntimeValue(.int32, [count, shape.count], .integers(coordinates))]
  }
}

/// The dimensions of a tensor.
struct ShapeOf: MILOperation {
  static let kinds = [OperationKind("shape", [.required("x", .any)], ShapeOf.self)]

  let results: [TensorType]
  private let dimensions: [Int32]

  init(_ call: Call) throws(MILError) {
    dimensions = try call.shape("x").map { Int32(clamping: $0) }
    results = [TensorType(.int32, [dimensions.count])]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    [RuntimeValue(.int32, [dimensions.count], .integers(dimensions))]
  }
}

/// One value everywhere, and runs of numbers.
struct Filling: MILOperation {
  static let kinds = [
    OperationKind(
      "fill", [.required("shape", .integers), .optional("value", .number)], Filling.self),
    OperationKind(
      "fill_like", [.required("ref_tensor", .any), .optional("value", .number)], Filling.self),
    OperationKind(
      "range_1d",
      [.required("end", .number), .required("start", .number), .required("step", .number)],
      Filling.self),
  ]

  let results: [TensorType]
  private let shape: [Int]
  private let numbers: Numbers

  private enum Numbers {
    case floats(start: Float, step: Float)
    case integers(start: Int, step: Int)
  }

  init(_ call: Call) throws(MILError) {
    let isRange = call.operation == "range_1d"
    let first = isRange ? "start" : "value"
    let type = call.has(first) ? try call.type(first) : .float32
    let steps: Double
    if type.isFloat {
      let (start, step) = (try call.number(first, or: 0), isRange ? try call.number("step", or: 1) : 0)
      steps = isRange ? Double((try call.number("end", or: 0) - start) / step) : 0
      numbers = .floats(start: start, step: step)
    } else {
      let (start, step) = (try call.integer(first), isRange ? try call.integer("step") : 0)
      steps = isRange ? Double(try call.integer("end") - start) / Double(step) : 0
      numbers = .integers(start: start, step: step)
    }
    if isRange {
      guard abs(steps) <= Double(1 << 24) else { throw call.refuse("step", "at most 2²⁴ steps", "\(steps)") }
      shape = [max(0, Int(steps.rounded(.up)))]
    } else {
      shape = call.operation == "fill" ? try call.integers("shape") : try call.shape("ref_tensor")
    }
    guard TensorShape.count(shape) != nil else {
      throw .tooLarge(call.place, what: "a tensor of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    results = [TensorType(type, shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let count = shape.reduce(1, *)
    let type = results[0].dataType
    switch numbers {
    case .floats(let start, 0): return [RuntimeValue(type, shape, Buffer(repeating: start, count: count))]
    case .floats(let start, let step):
      return [RuntimeValue(type, shape, Buffer((0..<count).map { start + step * Float($0) }))]
    case .integers(let start, let step):
      return [RuntimeValue(type, shape, .integers((0..<count).map { Int32(truncatingIfNeeded: start + step * $0) }))]
    }
  }
}

/// Running sums along an axis.
struct CumulativeSum: MILOperation {
  static let kinds = [
    OperationKind(
      "cumsum",
      [
        .required("x", .numbers), .optional("axis", .integers), .optional("exclusive", .boolean),
        .optional("reverse", .boolean),
      ], CumulativeSum.self)
  ]

  let results: [TensorType]
  private let layout: AxisLayout
  private let exclusive, reverse: Bool

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    layout = AxisGroup(x, [try call.axis("axis", rank: x.count, or: 0)]).layout
    exclusive = try call.boolean("exclusive", or: false)
    reverse = try call.boolean("reverse", or: false)
    results = [TensorType(try call.type("x"), x)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    if case .integers(let values) = x.storage {
      return [RuntimeValue(x.type, x.shape, .integers(sums(values, zero: 0) { $0 &+ $1 }))]
    }
    guard let floats = x.floats else { throw call.refuse("x", "numbers", "\(x.type)") }
    return [RuntimeValue(x.type, x.shape, Buffer(sums(floats.elements, zero: 0) { $0 + $1 }))]
  }

  private func sums<Number>(_ x: [Number], zero: Number, _ add: (Number, Number) -> Number) -> [Number] {
    var y = x
    for column in 0..<layout.outer * layout.inner {
      let first = column / layout.inner * layout.width * layout.inner + column % layout.inner
      var sum = zero
      for place in 0..<layout.width {
        let at = first + (reverse ? layout.width - 1 - place : place) * layout.inner
        let before = sum
        sum = add(sum, x[at])
        y[at] = exclusive ? before : sum
      }
    }
    return y
  }
}
