internal import Kernels
internal import MIL

/// A place that data name, checked: negative ones count from the end.
func place(_ index: Int32, _ size: Int, _ call: Call) throws(MILError) -> Int {
  let place = index < 0 ? Int(index) + size : Int(index)
  guard place >= 0, place < size else {
    throw call.refuse("indices", "places in \(size)", "\(index)")
  }
  return place
}

func indices(_ call: Call) throws(MILError) -> [Int32] {
  guard case .integers(let values) = try call.value("indices").storage else {
    throw call.refuse("indices", "integers", "another type")
  }
  return values
}

/// Slices of an axis, by number: look-ups in an embedding table.
struct GatherSlices: MILOperation {
  static let kinds = [
    OperationKind(
      "gather",
      [
        .required("x", .any), .required("indices", .integerTensor), .optional("axis", .integers),
        .optional("batch_dims", .integers), .optional("validate_indices", .boolean),
      ], GatherSlices.self)
  ]

  let results: [TensorType]
  private let shape: [Int]
  /// Batches, elements before and behind the axis, its size, and indices in a batch.
  private let batches, outer, size, inner, count: Int

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let indices = try call.shape("indices")
    let axis = try call.axis("axis", rank: x.count, or: 0)
    let batch = try call.integer("batch_dims", or: 0)
    guard batch >= 0, batch <= axis, batch <= indices.count, x[..<batch] == indices[..<batch] else {
      throw call.refuse("batch_dims", "leading axes that \(x) and \(indices) share", "\(batch)")
    }
    batches = x[..<batch].reduce(1, *)
    outer = x[batch..<axis].reduce(1, *)
    size = x[axis]
    inner = x[(axis + 1)...].reduce(1, *)
    count = indices[batch...].reduce(1, *)
    shape = Array(x[..<axis] + indices[batch...] + x[(axis + 1)...])
    guard TensorShape.count(shape) != nil else {
      throw .tooLarge(call.place, what: "a tensor of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    results = [TensorType(try call.type("x"), shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    let numbers = try indices(call)
    var places: [Int] = []
    for number in numbers { places.append(try place(number, size, call)) }
    var starts: [Int] = []
    for batch in 0..<batches {
      for row in 0..<outer {
        for index in 0..<count {
          starts.append(
            ((batch * outer + row) * size + places[batch * count + index]) * inner)
        }
      }
    }
    // A packed table is decoded only where it is asked for.
    if let constant = x.constant {
      let y = Buffer(uninitialized: starts.count * inner)
      for (slot, start) in starts.enumerated() {
        constant.decode(start..<start + inner, into: y, at: slot * inner)
      }
      return [RuntimeValue(x.type, shape, y)]
    }
    return [x.picked(starts.flatMap { $0..<$0 + inner }, shape: shape)]
  }
}

/// Elements or blocks whose leading coordinates are the last axis of the indices.
struct GatherByPosition: MILOperation {
  static let kinds = [
    OperationKind(
      "gather_nd",
      [
        .required("x", .any), .required("indices", .integerTensor),
        .optional("batch_dims", .integers), .optional("validate_indices", .boolean),
      ], GatherByPosition.self)
  ]

  let results: [TensorType]
  private let shape: [Int]
  private let blocks: CoordinateBlocks
  private let batches: Int

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let indices = try call.shape("indices")
    let batch = try call.integer("batch_dims", or: 0)
    guard batch >= 0, batch < indices.count, batch < x.count, x[..<batch] == indices[..<batch]
    else {
      throw call.refuse("batch_dims", "leading axes that \(x) and \(indices) share", "\(batch)")
    }
    batches = x[..<batch].reduce(1, *)
    blocks = try CoordinateBlocks(Array(x[batch...]), indices, call)
    shape = indices.dropLast() + blocks.blockShape
    guard TensorShape.count(shape) != nil else {
      throw .tooLarge(call.place, what: "a tensor of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    results = [TensorType(try call.type("x"), shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    let starts = try blocks.starts(try indices(call), batches: batches, call)
    return [x.picked(starts.flatMap { $0..<$0 + blocks.blockCount }, shape: shape)]
  }
}

/// Blocks of a tensor that are named by their leading coordinates.
struct CoordinateBlocks: Sendable {
  let blockShape: [Int]
  let blockCount: Int
  private let entries: Int
  private let leading: [Int]
  private let whole: Int

  init(_ shape: [Int], _ indices: [Int], _ call: Call) throws(MILError) {
    guard let depth = indices.last, (1...max(1, shape.count)).contains(depth) else {
      throw call.refuse("indices", "1 to \(shape.count) coordinates", "\(indices)")
    }
    entries = indices.dropLast().reduce(1, *)
    leading = Array(shape[..<depth])
    blockShape = Array(shape[depth...])
    blockCount = blockShape.reduce(1, *)
    whole = shape.reduce(1, *)
  }

  /// First element of every block that the indices name.
  func starts(_ indices: [Int32], batches: Int, _ call: Call) throws(MILError) -> [Int] {
    let depth = leading.count
    var starts: [Int] = []
    starts.reserveCapacity(entries)
    for entry in 0..<entries {
      var at = 0
      for axis in 0..<depth {
        at = at * leading[axis] + (try place(indices[entry * depth + axis], leading[axis], call))
      }
      let batch = batches > 1 ? entry / max(1, entries / batches) : 0
      starts.append(batch * whole + at * blockCount)
    }
    return starts
  }
}

/// One element for every index, along an axis.
struct GatherAlongAxis: MILOperation {
  static let kinds = [
    OperationKind(
      "gather_along_axis",
      [
        .required("x", .any), .required("indices", .integerTensor), .optional("axis", .integers),
        .optional("validate_indices", .boolean),
      ], GatherAlongAxis.self)
  ]

  let results: [TensorType]
  private let shape: [Int]
  private let size, count, inner: Int

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    shape = try call.shape("indices")
    let axis = try call.axis("axis", rank: x.count, or: 0)
    let indices = shape
    guard indices.count == x.count,
      x.indices.allSatisfy({ $0 == axis || x[$0] == indices[$0] })
    else { throw call.refuse("indices", "a shape that goes with \(x)", "\(shape)") }
    (size, count) = (x[axis], shape[axis])
    inner = x[(axis + 1)...].reduce(1, *)
    results = [TensorType(try call.type("x"), shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    var positions: [Int] = []
    for (at, index) in try indices(call).enumerated() {
      let outer = at / inner / max(1, count)
      positions.append(
        (outer * size + (try place(index, size, call))) * inner + at % inner)
    }
    return [try call.value("x").picked(positions, shape: shape)]
  }
}
