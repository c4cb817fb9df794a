internal import Kernels
internal import MIL

/// The same elements under another shape: `reshape`, `expand_dims`, `squeeze`, `identity`.
struct Reshape: MILOperation {
  static let kinds = [
    OperationKind(
      "reshape", [.required("x", .any), .required("shape", .integers)], Reshape.self),
    OperationKind(
      "expand_dims", [.required("x", .any), .required("axes", .integers)], Reshape.self),
    OperationKind("squeeze", [.required("x", .any), .optional("axes", .integers)], Reshape.self),
    OperationKind("identity", [.required("x", .any)], Reshape.self),
  ]

  let results: [TensorType]
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    switch call.operation {
    case "reshape": shape = try Self.reshaped(x, call)
    case "expand_dims":
      let count = try call.integers("axes").count
      let axes = try call.axes("axes", rank: x.count + count)
      var rest = x.makeIterator()
      shape = (0..<x.count + count).map { axes.contains($0) ? 1 : rest.next() ?? 1 }
    case "squeeze":
      // Longer axes stay, named or not.
      let axes = try call.axes("axes", rank: x.count, or: Array(x.indices))
      shape = AxisGroup.reduced(x, axes.filter { x[$0] == 1 }, keep: false)
    default: shape = x
    }
    results = [TensorType(try call.type("x"), shape)]
  }

  /// A zero copies a dimension of `x`, counted from the right; one −1 takes what is left.
  private static func reshaped(_ x: [Int], _ call: Call) throws(MILError) -> [Int] {
    var shape = try call.integers("shape")
    let asked = shape
    for axis in shape.indices where shape[axis] == 0 {
      let source = axis + x.count - shape.count
      shape[axis] = source >= 0 ? x[source] : 1
    }
    guard let count = TensorShape.count(x), let rest = TensorShape.count(shape.map { $0 == -1 ? 1 : $0 }) else {
      throw call.refuse("shape", "a sensible shape", "\(asked)")
    }
    let open = shape.indices.filter { shape[$0] == -1 }
    if open.count == 1, rest > 0, count % rest == 0 {
      shape[open[0]] = count / rest
    } else if !open.isEmpty || rest != count {
      throw call.refuse("shape", "\(count) elements as \(x) has", "\(asked)")
    }
    return shape
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    [try call.value("x").reshaped(shape)]
  }
}

/// Another order of axes.
struct Transposition: MILOperation {
  static let kinds = [
    OperationKind(
      "transpose", [.required("x", .any), .required("perm", .integers)], Transposition.self)
  ]

  let results: [TensorType]
  private let view: StridedView

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let order = try call.axes("perm", rank: x.count)
    guard order.count == x.count else {
      throw call.refuse("perm", "all \(x.count) axes", "\(order)")
    }
    let strides = TensorShape.strides(x)
    view = StridedView(shape: order.map { x[$0] }, strides: order.map { strides[$0] })
    results = [TensorType(try call.type("x"), view.shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    [try call.value("x").picked(view)]
  }
}

/// A tensor several times in a row along its axes, and `reverse`.
struct Tile: MILOperation {
  static let kinds = [
    OperationKind("tile", [.required("x", .any), .required("reps", .integers)], Tile.self),
    OperationKind("reverse", [.required("x", .any), .optional("axes", .integers)], Tile.self),
  ]

  let results: [TensorType]
  private let view: StridedView
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let strides = TensorShape.strides(x)
    if call.operation == "reverse" {
      let axes = try call.axes("axes", rank: x.count, or: Array(x.indices))
      shape = x
      view = StridedView(
        shape: x, strides: x.indices.map { axes.contains($0) ? -strides[$0] : strides[$0] },
        offset: axes.reduce(0) { $0 + max(0, x[$1] - 1) * strides[$1] })
    } else {
      let repeats = try call.integers("reps")
      guard repeats.count == x.count, repeats.allSatisfy({ $0 >= 0 && $0 <= TensorShape.limit }) else {
        throw call.refuse("reps", "\(x.count) numbers of 0 or more", "\(repeats)")
      }
      shape = zip(repeats, x).map { $0 * $1 }
      view = StridedView(
        shape: zip(repeats, x).flatMap { [$0, $1] }, strides: strides.flatMap { [0, $0] })
    }
    guard TensorShape.count(shape) != nil else {
      throw .tooLarge(call.place, what: "a tensor of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    results = [TensorType(try call.type("x"), shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    return [(view.count == 0 ? x.picked([], shape: view.shape) : x.picked(view)).reshaped(shape)]
  }
}

/// Every pixel several times in a row and in a column, or at nearest places for other factors.
struct Upsampling: MILOperation {
  static let kinds = [
    OperationKind(
      "upsample_nearest_neighbor",
      [
        .required("x", .floats), .optional("scale_factor_height", .number),
        .optional("scale_factor_width", .number),
      ], Upsampling.self),
    OperationKind(
      "resize_nearest_neighbor",
      [
        .required("x", .floats), .required("target_size_height", .integers),
        .required("target_size_width", .integers),
      ], Upsampling.self),
  ]

  let results: [TensorType]
  private let shape: [Int]
  private let rows, columns: [Int]
  /// Whether every pixel is there equally often.
  private let repeats: Bool

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    guard x.count >= 3 else { throw call.refuse("x", "at least three axes", "\(x)") }
    rows = try Self.sources(x[x.count - 2], "height", call)
    columns = try Self.sources(x[x.count - 1], "width", call)
    shape = x.dropLast(2) + [rows.count, columns.count]
    repeats = zip([rows, columns], x.suffix(2)).allSatisfy { sources, size in
      sources.count % size == 0 && sources.indices.allSatisfy { sources[$0] == $0 / (sources.count / size) }
    }
    guard TensorShape.count(shape) != nil else {
      throw .tooLarge(call.place, what: "an image of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    results = [TensorType(try call.type("x"), shape)]
  }

  /// For every place along an axis, the place it is taken from.
  private static func sources(
    _ size: Int, _ axis: String, _ call: Call
  ) throws(MILError) -> [Int] {
    if call.operation == "resize_nearest_neighbor" {
      let target = try call.integer("target_size_" + axis)
      guard target > 0, target <= 1 << 20, size > 0 else {
        throw call.refuse("target_size_" + axis, "1 to 2²⁰", "\(target)")
      }
      return (0..<target).map { $0 * size / target }
    }
    // The factor says how many there are, and how many there are says where each comes from.
    let target = Int(try call.scaleFactor(axis, of: size) * Float(size))
    return (0..<target).map { $0 * size / target }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    let rank = x.shape.count
    let (height, width) = (x.shape[rank - 2], x.shape[rank - 1])
    let planes = x.shape.dropLast(2).reduce(1, *)
    if repeats {
      let view = StridedView(
        shape: [planes, height, rows.count / height, width, columns.count / width],
        strides: [height * width, width, 0, 1, 0])
      return [x.reshaped([x.count]).picked(view).reshaped(shape)]
    }
    let y = Buffer(count: shape.reduce(1, *)) { y in
      floats.withSpan { x in
        var at = 0
        for plane in 0..<planes {
          for row in rows {
            for column in columns {
              y[at] = x[(plane * height + row) * width + column]
              at += 1
            }
          }
        }
      }
    }
    return [RuntimeValue(x.type, shape, y)]
  }
}

extension Call {
  /// By how much `size` pixels of an axis, `height` or `width`, are to be more.
  func scaleFactor(_ axis: String, of size: Int) throws(MILError) -> Float {
    let factor = try number("scale_factor_" + axis, or: 1)
    guard factor > 0, factor * Float(size) <= Float(1 << 20), size > 0 else {
      throw refuse("scale_factor_" + axis, "up to 2²⁰ pixels", "\(factor)")
    }
    return factor
  }
}

/// `[n, c · r², h, w]` to `[n, c, h · r, w · r]`.
struct PixelShuffle: MILOperation {
  static let kinds = [
    OperationKind(
      "pixel_shuffle", [.required("x", .floats), .required("upscale_factor", .integers)],
      PixelShuffle.self),
    OperationKind(
      "pixel_unshuffle", [.required("x", .floats), .required("downscale_factor", .integers)],
      PixelShuffle.self),
  ]

  let results: [TensorType]
  private let view: StridedView
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    guard call.operation == "pixel_shuffle" else {
      let factor = try call.integer("downscale_factor")
      guard x.count == 4, factor > 0, factor <= 1024, x[2] % factor == 0, x[3] % factor == 0 else {
        throw call.refuse("downscale_factor", "a factor that goes with \(x)", "\(factor)")
      }
      let plane = x[2] * x[3]
      view = StridedView(
        shape: [x[0], x[1], factor, factor, x[2] / factor, x[3] / factor],
        strides: [x[1] * plane, plane, x[3], 1, factor * x[3], factor])
      shape = [x[0], x[1] * factor * factor, x[2] / factor, x[3] / factor]
      results = [TensorType(try call.type("x"), shape)]
      return
    }
    let factor = try call.integer("upscale_factor")
    guard x.count == 4, factor > 0, factor <= 1024, x[1] % (factor * factor) == 0 else {
      throw call.refuse("upscale_factor", "a factor that goes with \(x)", "\(factor)")
    }
    let plane = x[2] * x[3]
    view = StridedView(
      shape: [x[0], x[1] / (factor * factor), x[2], factor, x[3], factor],
      strides: [x[1] * plane, factor * factor * plane, x[3], factor * plane, 1, plane])
    shape = [x[0], x[1] / (factor * factor), x[2] * factor, x[3] * factor]
    results = [TensorType(try call.type("x"), shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    [try call.value("x").picked(view).reshaped(shape)]
  }
}
