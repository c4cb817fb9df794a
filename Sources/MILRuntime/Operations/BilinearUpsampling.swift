internal import Kernels
internal import MIL

/// Pixels between pixels, mixed of their four neighbours.
struct BilinearUpsampling: MILOperation {
  static let kinds = [
    OperationKind(
      "upsample_bilinear",
      [
        .required("x", .floats), .optional("scale_factor_height", .number), .optional("scale_factor_width", .number),
        .optional("align_corners", .boolean), .optional("half_pixel_centers", .boolean),
      ], BilinearUpsampling.self),
    OperationKind(
      "resize_bilinear",
      [
        .required("x", .floats), .optional("target_size_height", .integers),
        .optional("target_size_width", .integers), .optional("sampling_mode", .text),
      ], BilinearUpsampling.self),
  ]

  let results: [TensorType]
  private let rows, columns: [Source]

  /// Where a pixel comes from along one axis: two places, and how much the second one counts.
  private struct Source {
    let first, second: Int
    let share: Float

    /// - Parameter place: kept inside of the axis.
    init(_ place: Double, of size: Int) {
      let inside = min(max(place, 0), Double(size - 1))
      first = Int(inside)
      second = min(first + 1, size - 1)
      share = Float(inside - inside.rounded(.down))
    }
  }

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    guard x.count >= 3 else { throw call.refuse("x", "at least three axes", "\(x)") }
    rows = try Self.sources(x[x.count - 2], "height", call)
    columns = try Self.sources(x[x.count - 1], "width", call)
    let shape = x.dropLast(2) + [rows.count, columns.count]
    guard TensorShape.count(Array(shape)) != nil else {
      throw .tooLarge(call.place, what: "an image of \(shape)", limit: "\(TensorShape.limit) elements")
    }
    results = [TensorType(try call.type("x"), Array(shape))]
  }

  private static func sources(_ size: Int, _ axis: String, _ call: Call) throws(MILError) -> [Source] {
    if call.operation == "resize_bilinear" { return try resized(size, axis, call) }
    let count = Int(try call.scaleFactor(axis, of: size) * Float(size))
    let alignsCorners = try call.boolean("align_corners", or: true)
    let usesCenters = try call.boolean("half_pixel_centers", or: !alignsCorners)
    guard !(alignsCorners && usesCenters) else {
      throw call.refuse("half_pixel_centers", "false where corners are aligned", "true")
    }
    return (0..<count).map { pixel in
      let ratio = Double(size) / Double(count)
      let place =
        alignsCorners
        ? Double(pixel * (size - 1)) / Double(max(1, count - 1))
        : usesCenters ? (Double(pixel) + 0.5) * ratio - 0.5 : Double(pixel) * ratio
      return Source(place, of: size)
    }
  }

  /// By a size instead of a factor; the grids are those of coremltools' documentation of `resize_bilinear`.
  private static func resized(_ size: Int, _ axis: String, _ call: Call) throws(MILError) -> [Source] {
    let count = try call.integer("target_size_" + axis, or: 1)
    guard count > 0, count <= 1 << 20, size > 0 else {
      throw call.refuse("target_size_" + axis, "1 to 2²⁰", "\(count)")
    }
    let (from, to) = (Double(size), Double(count))
    let grid: (Double) -> Double
    switch try call.text("sampling_mode", or: "DEFAULT") {
    case "ALIGN_CORNERS" where count == 1: grid = { _ in (from - 1) / 2 }
    case "ALIGN_CORNERS", "STRICT_ALIGN_CORNERS": grid = { $0 * (from - 1) / max(1, to - 1) }
    case "DEFAULT": grid = { $0 * (from - from / to) / max(1, to - 1) }
    case "OFFSET_CORNERS": grid = { ($0 + 0.5) * max(1, from - 1) / to }
    case "UNALIGN_CORNERS": grid = { ($0 + 0.5) * from / to - 0.5 }
    case let mode:
      throw call.refuse(
        "sampling_mode", "DEFAULT, ALIGN_CORNERS, STRICT_ALIGN_CORNERS, OFFSET_CORNERS or UNALIGN_CORNERS", "'\(mode)'")
    }
    return (0..<count).map { Source(grid(Double($0)), of: size) }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    let (height, width) = (x.shape[x.shape.count - 2], x.shape[x.shape.count - 1])
    let planes = x.shape.dropLast(2).reduce(1, *)
    let y = Buffer(count: planes * rows.count * columns.count) { y in
      floats.withSpan { x in
        var at = 0
        for plane in 0..<planes {
          for row in rows {
            let (above, below) = ((plane * height + row.first) * width, (plane * height + row.second) * width)
            for column in columns {
              func mixed(_ line: Int) -> Float {
                x[line + column.first] * (1 - column.share) + x[line + column.second] * column.share
              }
              y[at] = mixed(above) * (1 - row.share) + mixed(below) * row.share
              at += 1
            }
          }
        }
      }
    }
    return [RuntimeValue(x.type, results[0].shape ?? [], y)]
  }
}
