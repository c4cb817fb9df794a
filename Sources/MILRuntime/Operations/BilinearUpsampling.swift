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
      ], BilinearUpsampling.self)
  ]

  let results: [TensorType]
  private let rows, columns: [Source]

  /// Where a pixel comes from along one axis: two places, and how much the second one counts.
  private struct Source {
    let first, second: Int
    let share: Float
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
      let inside = min(max(place, 0), Double(size - 1))
      return Source(
        first: Int(inside), second: min(Int(inside) + 1, size - 1), share: Float(inside - inside.rounded(.down)))
    }
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
