internal import Kernels
internal import MIL

/// The largest or smallest elements along an axis, and where they were: `topk` and `argsort`.
struct Sorting: MILOperation {
  static let kinds = [
    OperationKind(
      "topk",
      [
        .required("x", .numbers), .optional("k", .integers), .optional("axis", .integers),
        .optional("ascending", .boolean), .optional("sort", .boolean), .optional("return_indices", .boolean),
        .optional("output_indices_dtype", .text),
      ], Sorting.self),
    OperationKind(
      "argsort", [.required("x", .numbers), .optional("axis", .integers), .optional("ascending", .boolean)],
      Sorting.self),
  ]

  let results: [TensorType]
  private let count, size, behind: Int
  private let isAscending: Bool
  private let placeType: DataType
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let axis = try call.axis("axis", rank: x.count, or: -1)
    size = x[axis]
    behind = x[(axis + 1)...].reduce(1, *)
    isAscending = try call.boolean("ascending", or: false)
    let isSort = call.operation == "argsort"
    let k = isSort ? size : try call.integer("k", or: 1)
    // Minus one asks for all.
    count = k == -1 ? size : k
    guard count >= (isSort ? 0 : 1), count <= size else {
      throw call.refuse("k", "1 to \(size)", "\(k)")
    }
    var shape = x
    shape[axis] = count
    self.shape = shape
    let name = isSort ? "int32" : try call.text("output_indices_dtype", or: "int32")
    let widths: [String: (type: DataType, most: Int)] = [
      "int32": (.int32, Int(Int32.max)), "int16": (.int16, Int(Int16.max)), "uint16": (.uint16, Int(UInt16.max)),
    ]
    guard let width = widths[name], size - 1 <= width.most else {
      throw call.refuse("output_indices_dtype", "a type of whole numbers that holds \(size - 1)", "'\(name)'")
    }
    let places = TensorType(width.type, shape)
    placeType = width.type
    if isSort {
      results = [places]
    } else {
      let values = TensorType(try call.type("x"), shape)
      results = try call.boolean("return_indices", or: true) ? [values, places] : [values]
    }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    let elements: [Double]
    if let floats = x.floats {
      elements = floats.elements.map { Double($0) }
    } else {
      elements = (x.wholeNumbers ?? []).map { Double($0) }
    }
    let ahead = size * behind == 0 ? 0 : elements.count / (size * behind)
    var positions = [Int](repeating: 0, count: shape.reduce(1, *))
    for outer in 0..<ahead {
      for inner in 0..<behind {
        func position(_ place: Int) -> Int { (outer * size + place) * behind + inner }
        // Equal elements stay in their order; what is no number counts as the largest.
        func key(_ place: Int) -> Double { elements[position(place)].isNaN ? .infinity : elements[position(place)] }
        let sorted = (0..<size).sorted { a, b in
          let (first, second) = (key(a), key(b))
          return first == second ? a < b : isAscending ? first < second : first > second
        }
        for place in 0..<count { positions[(outer * count + place) * behind + inner] = position(sorted[place]) }
      }
    }
    let places = RuntimeValue(
      placeType, shape, .integers(positions.map { Int32($0 / max(1, behind) % max(1, size)) }))
    if call.operation == "argsort" { return [places] }
    return Array([x.picked(positions, shape: shape), places].prefix(results.count))
  }
}
