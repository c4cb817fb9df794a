internal import Kernels
internal import MIL

/// `softmax(Q Kᵀ / √E + mask) V`
///
/// query `[…, L, E]`, key `[…, S, E]`, value `[…, S, EV]`; the mask is added, or keeps where it is
/// true.
struct Attention: MILOperation {
  static let kinds = [
    OperationKind(
      "scaled_dot_product_attention",
      [
        .required("query", .floats), .required("key", .floats), .required("value", .floats),
        .optional("attn_mask", .any),
      ], Attention.self)
  ]

  let results: [TensorType]
  private let scores, sums: MatrixBatch
  private let scoreShape, shape: [Int]
  private let mask: Broadcast?

  /// Without a mask, and with as many features in the values as in the keys.
  private var fused: FusedAttention? {
    let (queries, keys, features) = (scores.m, scores.n, scores.k)
    guard mask == nil, sums.n == features, min(queries, keys, features, scores.x.offsets.count) > 0 else { return nil }
    func operand(_ operand: MatrixBatch.Operand) -> FusedAttention.Operand {
      .init(offsets: operand.offsets, tokenStride: operand.stride, featureStride: 1)
    }
    return FusedAttention(
      queries: queries, keys: keys, features: features, scale: 1 / Float(features).squareRoot(), q: operand(scores.x),
      k: operand(scores.y), v: operand(sums.y), o: operand(sums.z))
  }

  init(_ call: Call) throws(MILError) {
    let (q, k, v) = (try call.shape("query"), try call.shape("key"), try call.shape("value"))
    let lead = Array(q.dropLast(2))
    guard q.count >= 2, k.count == q.count, v.count == q.count, Array(k.dropLast(2)) == lead,
      Array(v.dropLast(2)) == lead, k[k.count - 1] == q[q.count - 1],
      v[v.count - 2] == k[k.count - 2], let count = TensorShape.count(lead), count <= 1 << 24
    else {
      throw call.refuse("key", "shapes that go together", "\(q), \(k) and \(v)")
    }
    let (l, e, s, ev) = (q[q.count - 2], q[q.count - 1], k[k.count - 2], v[v.count - 1])
    scoreShape = lead + [l, s]
    shape = lead + [l, ev]
    results = [TensorType(try call.type("query"), shape)]
    guard TensorShape.count(scoreShape) != nil, TensorShape.count(shape) != nil else {
      throw .tooLarge(call.place, what: "scores of \(scoreShape)", limit: "\(TensorShape.limit)")
    }
    func operand(_ rows: Int, _ columns: Int, transposed: Bool = false) -> MatrixBatch.Operand {
      .init(
        offsets: (0..<count).map { $0 * rows * columns }, stride: columns, transposed: transposed)
    }
    scores = MatrixBatch(
      m: l, n: s, k: e, x: operand(l, e), y: operand(s, e, transposed: true), z: operand(l, s))
    sums = MatrixBatch(m: l, n: ev, k: s, x: operand(l, s), y: operand(s, ev), z: operand(l, ev))
    guard call.has("attn_mask") else {
      mask = nil
      return
    }
    let broadcast = try Broadcast(scoreShape, try call.shape("attn_mask"), call)
    guard broadcast.shape == scoreShape else {
      throw call.refuse("attn_mask", "a shape within \(scoreShape)", "\(broadcast.shape)")
    }
    mask = broadcast
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let query = try call.value("query")
    guard let q = query.floats, let k = try call.value("key").floats,
      let v = try call.value("value").floats
    else { throw call.refuse("query", "floats", "\(query.type)") }
    if let fused {
      let o = Buffer(uninitialized: shape.reduce(1, *))
      fused.forward(q, k, v, into: o)
      return [RuntimeValue(query.type, shape, o)]
    }
    let count = scoreShape.reduce(1, *)
    var s = Pointwise.combine(
      .multiply, scores.multiply(q, k, count: count), strides: [1],
      Buffer([1 / Float(scores.k).squareRoot()]), strides: [0], shape: [count])
    if let mask {
      let value = try call.value("attn_mask")
      let added = value.wholeNumbers.map { Buffer($0.map { $0 == 0 ? -Float.infinity : 0 }) }
      guard let added = added ?? value.floats else {
        throw call.refuse("attn_mask", "floats or truth values", "\(value.type)")
      }
      s = Pointwise.combine(
        .add, s, strides: mask.strides(scoreShape), added, strides: mask.strides(value.shape),
        shape: scoreShape)
    }
    let layout = AxisLayout(
      outer: scoreShape.dropLast().reduce(1, *), width: scores.n, inner: 1)
    let y = sums.multiply(
      AxisKernels.softmax(s, layout), v, count: shape.reduce(1, *))
    return [RuntimeValue(query.type, shape, y)]
  }
}
