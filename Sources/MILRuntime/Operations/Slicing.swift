internal import Kernels
internal import MIL

/// Slices as Python takes them: negative places count from the end, masks override them.
struct SliceByIndex: MILOperation {
  static let kinds = [
    OperationKind(
      "slice_by_index",
      [
        .required("x", .any), .required("begin", .integers), .required("end", .integers),
        .optional("stride", .integers), .optional("begin_mask", .boolean),
        .optional("end_mask", .boolean), .optional("squeeze_mask", .boolean),
      ], SliceByIndex.self)
  ]

  let results: [TensorType]
  let view: StridedView
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let rank = x.count
    let none = [Bool](repeating: false, count: rank)
    let begin = try call.integers("begin")
    let end = try call.integers("end")
    let steps = try call.integers("stride", or: [Int](repeating: 1, count: rank))
    let fromStart = try call.booleans("begin_mask", or: none)
    let toEnd = try call.booleans("end_mask", or: none)
    let squeeze = try call.booleans("squeeze_mask", or: none)
    guard [begin.count, end.count, steps.count].allSatisfy({ $0 == rank }),
      [fromStart, toEnd, squeeze].allSatisfy({ $0.count == rank })
    else {
      throw call.refuse("begin", "one entry for each axis of \(x) in every list", "\(begin)")
    }
    let strides = TensorShape.strides(x)
    var view = StridedView(shape: x, strides: strides)
    for axis in 0..<rank {
      let size = x[axis]
      if squeeze[axis] {
        let place = fromStart[axis] ? 0 : begin[axis] < 0 ? begin[axis] + size : begin[axis]
        guard place >= 0, place < size else {
          throw call.refuse("begin", "a place in \(size)", "\(begin[axis])")
        }
        view.offset += place * strides[axis]
        view.shape[axis] = 1
      } else {
        let range = try Self.places(
          size, fromStart[axis] ? nil : begin[axis], toEnd[axis] ? nil : end[axis], steps[axis],
          call)
        view.offset += range.first * strides[axis]
        view.shape[axis] = range.count
        view.strides[axis] = strides[axis] * steps[axis]
      }
    }
    self.view = view
    shape = (0..<rank).filter { !squeeze[$0] }.map { view.shape[$0] }
    results = [TensorType(try call.type("x"), shape)]
  }

  /// First place and number of places of `begin:end:step` in an axis of `size`.
  private static func places(
    _ size: Int, _ begin: Int?, _ end: Int?, _ step: Int, _ call: Call
  ) throws(MILError) -> (first: Int, count: Int) {
    guard step != 0 else { throw call.refuse("stride", "a step other than 0", "0") }
    func clamped(_ place: Int) -> Int {
      let place = place < 0 ? place + size : place
      return step > 0 ? min(max(place, 0), size) : min(max(place, -1), size - 1)
    }
    let first = begin.map(clamped) ?? (step > 0 ? 0 : size - 1)
    let last = end.map(clamped) ?? (step > 0 ? size : -1)
    let count = step > 0 ? (last - first + step - 1) / step : (first - last - step - 1) / -step
    return count > 0 ? (first, count) : (0, 0)
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    if view.count == 0 { return [x.picked([], shape: shape)] }
    return [x.picked(view).reshaped(shape)]
  }
}

/// A block of given size; −1 is the rest of the axis.
struct SliceBySize: MILOperation {
  static let kinds = [
    OperationKind(
      "slice_by_size",
      [.required("x", .any), .required("begin", .integers), .required("size", .integers)],
      SliceBySize.self)
  ]

  let results: [TensorType]
  private let view: StridedView

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let begin = try call.integers("begin")
    let size = try call.integers("size")
    guard begin.count == x.count, size.count == x.count else {
      throw call.refuse("begin", "one entry for each axis of \(x)", "\(begin)")
    }
    var view = StridedView(shape: x, strides: TensorShape.strides(x))
    for axis in x.indices {
      let first = begin[axis] < 0 ? begin[axis] + x[axis] : begin[axis]
      let count = size[axis] == -1 ? x[axis] - first : size[axis]
      guard first >= 0, count >= 0, first <= x[axis], count <= x[axis] - first else {
        throw call.refuse("size", "a block inside \(x)", "\(begin) and \(size)")
      }
      view.offset += first * view.strides[axis]
      view.shape[axis] = count
    }
    self.view = view
    results = [TensorType(try call.type("x"), view.shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    return [view.count == 0 ? x.picked([], shape: view.shape) : x.picked(view)]
  }
}

/// A picture without its margins: of `[…, height, width]` so many rows and columns at either end.
struct Crop: MILOperation {
  static let kinds = [
    OperationKind(
      "crop", [.required("x", .any), .required("crop_height", .integers), .required("crop_width", .integers)], Crop.self
    )
  ]

  let results: [TensorType]
  private let view: StridedView

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    guard x.count >= 3 else { throw call.refuse("x", "[…, channels, height, width]", "\(x)") }
    var view = StridedView(shape: x, strides: TensorShape.strides(x))
    for (name, axis) in [("crop_height", x.count - 2), ("crop_width", x.count - 1)] {
      let margins = try call.integers(name)
      guard margins.count == 2, margins.allSatisfy({ (0...x[axis]).contains($0) }), margins[0] + margins[1] < x[axis]
      else {
        throw call.refuse(name, "two margins that leave something of \(x[axis])", "\(margins)")
      }
      view.offset += margins[0] * view.strides[axis]
      view.shape[axis] = x[axis] - margins[0] - margins[1]
    }
    self.view = view
    results = [TensorType(try call.type("x"), view.shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] { [try call.value("x").picked(view)] }
}

/// Neighbouring parts along an axis.
struct Split: MILOperation {
  static let kinds = [
    OperationKind(
      "split",
      [
        .required("x", .any), .required("axis", .integers), .optional("num_splits", .integers),
        .optional("split_sizes", .integers),
      ], Split.self)
  ]

  let results: [TensorType]
  private let views: [StridedView]

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let axis = try call.axis("axis", rank: x.count)
    let sizes: [Int]
    if call.has("split_sizes") {
      sizes = try call.integers("split_sizes")
    } else {
      let count = try call.integer("num_splits")
      guard count > 0, x[axis] % count == 0 else {
        throw call.refuse("num_splits", "a divisor of \(x[axis])", "\(count)")
      }
      guard count == call.declared.count else {
        throw call.refuse("num_splits", "\(call.declared.count), one each result", "\(count)")
      }
      sizes = [Int](repeating: x[axis] / count, count: count)
    }
    guard sizes.allSatisfy({ $0 >= 0 && $0 <= x[axis] }), sizes.reduce(0, +) == x[axis] else {
      throw call.refuse("split_sizes", "sizes that add up to \(x[axis])", "\(sizes)")
    }
    var views: [StridedView] = []
    var first = 0
    for size in sizes {
      var view = StridedView(shape: x, strides: TensorShape.strides(x))
      view.offset = first * view.strides[axis]
      view.shape[axis] = size
      views.append(view)
      first += size
    }
    self.views = views
    let type = try call.type("x")
    results = views.map { TensorType(type, $0.shape) }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    return views.map { $0.count == 0 ? x.picked([], shape: $0.shape) : x.picked($0) }
  }
}

/// The same with some elements from another tensor, those that ``SliceByIndex`` would pick.
struct SliceUpdate: MILOperation {
  static let kinds = [
    OperationKind(
      "slice_update",
      [
        .required("x", .any), .required("update", .any), .required("begin", .integers), .required("end", .integers),
        .optional("stride", .integers), .optional("begin_mask", .boolean), .optional("end_mask", .boolean),
        .optional("squeeze_mask", .boolean),
      ], SliceUpdate.self)
  ]

  let results: [TensorType]
  private let view: StridedView

  init(_ call: Call) throws(MILError) {
    let slice = try SliceByIndex(call)
    let expected = slice.results[0]
    guard try call.shape("update") == expected.shape, try call.type("update") == expected.dataType else {
      throw call.refuse("update", "\(expected)", "\(TensorType(try call.type("update"), try call.shape("update")))")
    }
    view = slice.view
    results = [TensorType(try call.type("x"), try call.shape("x"))]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    let update = try call.value("update")
    func updated<Element>(_ elements: [Element], _ new: [Element]) -> [Element] {
      var elements = elements
      for (position, element) in zip(view.positions(), new) { elements[position] = element }
      return elements
    }
    if let old = x.floats, let new = update.floats {
      return [RuntimeValue(x.type, x.shape, Buffer(updated(old.elements, new.elements)))]
    }
    switch (x.storage, update.storage) {
    case (.integers(let old), .integers(let new)):
      return [RuntimeValue(x.type, x.shape, .integers(updated(old, new)))]
    case (.booleans(let old), .booleans(let new)):
      return [RuntimeValue(x.type, x.shape, .booleans(updated(old, new)))]
    default: throw call.refuse("update", "\(x.type)", "\(update.type)")
    }
  }
}
