internal import Kernels
internal import MIL

/// A copy of `data` with updates at the blocks that the indices name.
struct ScatterByPosition: MILOperation {
  static let kinds = [
    OperationKind(
      "scatter_nd",
      [
        .required("data", .floats), .required("indices", .integerTensor),
        .required("updates", .floats), .optional("mode", .text),
        .optional("validate_indices", .boolean),
      ], ScatterByPosition.self)
  ]

  let results: [TensorType]
  private let shape: [Int]
  private let blocks: CoordinateBlocks
  private let mode: ScatterMode

  init(_ call: Call) throws(MILError) {
    shape = try call.shape("data")
    let indices = try call.shape("indices")
    blocks = try CoordinateBlocks(shape, indices, call)
    let updates = try call.shape("updates")
    guard updates == indices.dropLast() + blocks.blockShape else {
      throw call.refuse(
        "updates", "\(indices.dropLast() + blocks.blockShape)", "\(updates)")
    }
    mode = try ScatterMode(call, or: .add)
    results = [TensorType(try call.type("data"), shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let starts = try blocks.starts(try indices(call), batches: 1, call)
    return try mode.scattered(starts, of: blocks.blockCount, call)
  }
}

/// A copy of `data` with updates at the slices of an axis that the indices number.
struct ScatterSlices: MILOperation {
  static let kinds = [
    OperationKind(
      "scatter",
      [
        .required("data", .floats), .required("indices", .integerTensor), .required("updates", .floats),
        .optional("axis", .integers), .optional("mode", .text), .optional("validate_indices", .boolean),
      ], ScatterSlices.self)
  ]

  let results: [TensorType]
  /// Elements before and behind the axis, and its size.
  private let outer, size, inner: Int
  private let mode: ScatterMode

  init(_ call: Call) throws(MILError) {
    let (data, indices) = (try call.shape("data"), try call.shape("indices"))
    let axis = try call.axis("axis", rank: data.count, or: 0)
    let expected = data[..<axis] + indices + data[(axis + 1)...]
    guard try call.shape("updates") == Array(expected) else {
      throw call.refuse("updates", "\(Array(expected))", "\(try call.shape("updates"))")
    }
    outer = data[..<axis].reduce(1, *)
    size = data[axis]
    inner = data[(axis + 1)...].reduce(1, *)
    mode = try ScatterMode(call, or: .add)
    results = [TensorType(try call.type("data"), data)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    var places: [Int] = []
    for index in try indices(call) { places.append(try place(index, size, call)) }
    let starts = (0..<outer).flatMap { row in places.map { (row * size + $0) * inner } }
    return try mode.scattered(starts, of: inner, call)
  }
}

/// A copy of `data` with one update for every index, along an axis.
struct ScatterAlongAxis: MILOperation {
  static let kinds = [
    OperationKind(
      "scatter_along_axis",
      [
        .required("data", .floats), .required("indices", .integerTensor), .required("updates", .floats),
        .optional("axis", .integers), .optional("mode", .text), .optional("validate_indices", .boolean),
      ], ScatterAlongAxis.self)
  ]

  let results: [TensorType]
  private let size, count, inner: Int
  private let mode: ScatterMode

  init(_ call: Call) throws(MILError) {
    let (data, indices) = (try call.shape("data"), try call.shape("indices"))
    let axis = try call.axis("axis", rank: data.count, or: 0)
    guard indices.count == data.count, data.indices.allSatisfy({ $0 == axis || data[$0] == indices[$0] }),
      try call.shape("updates") == indices
    else {
      throw call.refuse(
        "updates", "as many as indices, which go with \(data)", "\(try call.shape("updates")) and \(indices)")
    }
    (size, count) = (data[axis], indices[axis])
    inner = data[(axis + 1)...].reduce(1, *)
    mode = try ScatterMode(call, or: .add)
    results = [TensorType(try call.type("data"), data)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    var positions: [Int] = []
    for (at, index) in try indices(call).enumerated() {
      let outer = at / inner / max(1, count)
      positions.append((outer * size + (try place(index, size, call))) * inner + at % inner)
    }
    return try mode.scattered(positions, of: 1, call)
  }
}

/// What becomes of an element and its update.
private enum ScatterMode: String, CaseIterable {
  case update, add, sub, mul, div, max, min

  init(_ call: Call, or standard: ScatterMode) throws(MILError) {
    let name = try call.text("mode", or: standard.rawValue)
    guard let mode = ScatterMode(rawValue: name) else {
      throw call.refuse("mode", "one of \(Self.allCases.map(\.rawValue).sorted())", "'\(name)'")
    }
    self = mode
  }

  private func joined(_ old: Float, _ new: Float) -> Float {
    switch self {
    case .update: new
    case .add: old + new
    case .sub: old - new
    case .mul: old * new
    case .div: old / new
    case .max: Swift.max(old, new)
    case .min: Swift.min(old, new)
    }
  }

  /// `data` with `updates` at blocks of `size` elements.
  func scattered(_ starts: [Int], of size: Int, _ call: Call) throws(MILError) -> [RuntimeValue] {
    let data = try call.value("data")
    guard let x = data.floats, let updates = try call.value("updates").floats else {
      throw call.refuse("data", "floats", "\(data.type)")
    }
    var y = x.elements
    updates.withSpan { updates in
      for (entry, start) in starts.enumerated() {
        for element in 0..<size { y[start + element] = joined(y[start + element], updates[entry * size + element]) }
      }
    }
    return [RuntimeValue(data.type, data.shape, Buffer(y))]
  }
}
