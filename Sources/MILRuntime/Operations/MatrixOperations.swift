internal import Kernels
internal import MIL

/// `x Wᵀ + b` over the last axis.
struct Linear: MILOperation {
  static let kinds = [
    OperationKind(
      "linear",
      [.required("x", .floats), .required("weight", .floats), .optional("bias", .floats)],
      Linear.self)
  ]

  let results: [TensorType]
  private let rows, inputs, outputs: Int

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let weight = try call.shape("weight")
    guard let width = x.last, weight.count == 2, weight[1] == width else {
      throw call.refuse("weight", "[outputs, \(x.last ?? 0)]", "\(weight)")
    }
    if call.has("bias"), try call.shape("bias") != [weight[0]] {
      throw call.refuse("bias", "[\(weight[0])]", "\(try call.shape("bias"))")
    }
    rows = x.dropLast().reduce(1, *)
    (inputs, outputs) = (weight[1], weight[0])
    results = [TensorType(try call.type("x"), x.dropLast() + [weight[0]])]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats, let weight = try call.value("weight").constant else {
      throw call.refuse("x", "floats", "\(x.type)")
    }
    let y = PackedLinear.multiply(
      floats, rows: rows, inputs: inputs, outputs: outputs, weight: weight.elements,
      bias: call.has("bias") ? try call.value("bias").floats : nil)
    return [RuntimeValue(x.type, x.shape.dropLast() + [outputs], y)]
  }
}

/// Products of many small matrices, whose operands lie anywhere in their buffers.
struct MatrixBatch: Sendable {
  struct Operand: Sendable {
    /// First element of each product's matrix.
    let offsets: [Int]
    let stride: Int
    var transposed = false
  }

  let m, n, k: Int
  let x, y, z: Operand

  func multiply(_ a: Buffer, _ b: Buffer, count: Int) -> Buffer {
    let c = k == 0 ? Buffer(repeating: 0, count: count) : Buffer(uninitialized: count)
    guard count > 0, k > 0 else { return c }
    let products = x.offsets.count
    let matrices: @Sendable (Int) -> (Matrix, Matrix, Matrix) = { index in
      (
        Matrix(a, offset: x.offsets[index], stride: x.stride, transposed: x.transposed),
        Matrix(b, offset: y.offsets[index], stride: y.stride, transposed: y.transposed),
        Matrix(c, offset: z.offsets[index], stride: z.stride)
      )
    }
    if products >= Parallel.threads {
      // Small products are taken together: about a million multiplications a piece are worth a
      // thread.
      Parallel.ranges(products, grain: max(1, 1_000_000 / max(1, m * n * k))) { range in
        for index in range {
          let (a, b, c) = matrices(index)
          MatrixProduct.multiplyInline(a, b, into: c, m: m, n: n, k: k)
        }
      }
    } else {
      for index in 0..<products {
        let (a, b, c) = matrices(index)
        MatrixProduct.multiply(a, b, into: c, m: m, n: n, k: k)
      }
    }
    return c
  }
}

/// Matrix products over the last two axes, the others broadcast.
struct MatrixMultiplication: MatrixProductOperation {
  static let kinds = [
    OperationKind(
      "matmul",
      [
        .required("x", .floats), .required("y", .floats), .optional("transpose_x", .boolean),
        .optional("transpose_y", .boolean),
      ], MatrixMultiplication.self)
  ]

  let results: [TensorType]
  let batch: MatrixBatch
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    var x = try call.shape("x")
    var y = try call.shape("y")
    guard !x.isEmpty, !y.isEmpty else {
      throw call.refuse("y", "at least one axis on both sides", "\(x) and \(y)")
    }
    // A vector is a row on the left and a column on the right, and its axis is gone from the result.
    let (isRow, isColumn) = (x.count == 1, y.count == 1)
    if isRow { x = [1] + x }
    if isColumn { y = y + [1] }
    let (rowsX, columnsX) = (x[x.count - 2], x[x.count - 1])
    let (rowsY, columnsY) = (y[y.count - 2], y[y.count - 1])
    let transposeX = try call.boolean("transpose_x", or: false) && !isRow
    let transposeY = try call.boolean("transpose_y", or: false) && !isColumn
    let (m, k) = transposeX ? (columnsX, rowsX) : (rowsX, columnsX)
    let n = transposeY ? rowsY : columnsY
    guard (transposeY ? columnsY : rowsY) == k else {
      throw call.refuse("y", "a matrix that goes with \(x)", "\(y)")
    }
    let broadcast = try Broadcast(Array(x.dropLast(2)), Array(y.dropLast(2)), call)
    shape = broadcast.shape + (isRow ? [] : [m]) + (isColumn ? [] : [n])
    results = [TensorType(try call.type("x"), shape)]
    guard let count = TensorShape.count(broadcast.shape), count <= 1 << 24, TensorShape.count(shape) != nil
    else {
      throw .tooLarge(call.place, what: "a product of \(shape)", limit: "2²⁴ products")
    }
    batch = MatrixBatch(
      m: m, n: n, k: k,
      x: .init(
        offsets: broadcast.positions(Array(x.dropLast(2))).map { $0 * rowsX * columnsX },
        stride: columnsX, transposed: transposeX),
      y: .init(
        offsets: broadcast.positions(Array(y.dropLast(2))).map { $0 * rowsY * columnsY },
        stride: columnsY, transposed: transposeY),
      z: .init(offsets: (0..<count).map { $0 * m * n }, stride: n))
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let xs = x.floats, let ys = try call.value("y").floats else {
      throw call.refuse("x", "floats", "\(x.type)")
    }
    return [RuntimeValue(x.type, shape, batch.multiply(xs, ys, count: shape.reduce(1, *)))]
  }
}

/// `nchw,nwhu->nchu` under any letters, and the same without `n`: a matrix product over `w` for
/// every `n` and `h`.
struct EinsteinSum: MatrixProductOperation {
  static let kinds = [
    OperationKind(
      "einsum", [.required("values", .several), .required("equation", .text)], EinsteinSum.self)
  ]

  let results: [TensorType]
  let batch: MatrixBatch
  private let shape: [Int]

  init(_ call: Call) throws(MILError) {
    let operands = try call.types("values")
    let equation = try call.text("equation")
    guard operands.count == 2, operands[0].type.isFloat, operands[1].type.isFloat else {
      throw call.refuse("values", "two tensors of floats", "\(operands.count) tensors")
    }
    let rank = try Self.rank(equation, call)
    var (x, y) = (operands[0].shape, operands[1].shape)
    guard x.count == rank, y.count == rank else {
      throw call.refuse("values", "\(rank) axes each for '\(equation)'", "\(x) and \(y)")
    }
    if rank == 3 { (x, y) = ([1] + x, [1] + y) }
    // x is [n, c, h, w] and y is [n, w, h, u]; n and h may repeat.
    guard x[3] == y[1], x[0] == y[0] || x[0] == 1 || y[0] == 1,
      x[2] == y[2] || x[2] == 1 || y[2] == 1
    else {
      throw call.refuse("values", "shapes that go with '\(equation)'", "\(x) and \(y)")
    }
    let (n, h) = (x[0] == 1 ? y[0] : x[0], x[2] == 1 ? y[2] : x[2])
    let full = [n, x[1], h, y[3]]
    shape = rank == 3 ? Array(full[1...]) : full
    results = [TensorType(operands[0].type, shape)]
    guard let products = TensorShape.count([n, h]), products <= 1 << 24, TensorShape.count(full) != nil else {
      throw .tooLarge(call.place, what: "a batch of \([n, h])", limit: "2²⁴ products")
    }
    func operand(_ shape: [Int]) -> MatrixBatch.Operand {
      let image = shape[0] == 1 ? 0 : shape[1] * shape[2] * shape[3]
      let row = shape[2] == 1 ? 0 : shape[3]
      return .init(
        offsets: (0..<products).map { $0 / max(1, h) * image + $0 % max(1, h) * row },
        stride: shape[2] * shape[3])
    }
    batch = MatrixBatch(
      m: x[1], n: y[3], k: x[3], x: operand(x), y: operand(y), z: operand(full))
  }

  /// 3 or 4 when the letters are in the one pattern that is known.
  private static func rank(_ equation: String, _ call: Call) throws(MILError) -> Int {
    let letters = equation.filter { $0 != " " }
    var names: [Character: Character] = [:]
    var next = "abcdefgh".makeIterator()
    let pattern = String(
      letters.map { letter in
        guard letter.isLetter else { return letter }
        if let name = names[letter] { return name }
        let name = next.next() ?? "?"
        names[letter] = name
        return name
      })
    switch pattern {
    case "abcd,adce->abce": return 4
    case "abc,cbd->abd": return 3
    default:
      throw call.refuse("equation", "a form of nchw,nwhu->nchu or chw,whr->chr", "'\(equation)'")
    }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let values = try call.values("values")
    guard values.count == 2, let x = values[0].floats, let y = values[1].floats else {
      throw call.refuse("values", "two tensors of floats", "\(values.count)")
    }
    return [RuntimeValue(values[0].type, shape, batch.multiply(x, y, count: shape.reduce(1, *)))]
  }
}
