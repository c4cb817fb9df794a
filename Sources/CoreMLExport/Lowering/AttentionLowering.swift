internal import MIL
internal import Tensors

extension Tensors.Attention: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    precondition(!causal, "lowering: causal attention")
    let q = try inputs[0].value(in: &context)
    let k = try inputs[1].value(in: &context)
    let v = try inputs[2].value(in: &context)
    let sizes = Sizes(
      batch: shape[0], heads: heads, features: shape[2] / heads, queries: shape[1],
      keys: inputs[1].shape[1])
    switch context.options.attention {
    case .original: return try original(q, k, v, sizes, into: &context)
    case .splitEinsum: return try splitEinsum(q, k, v, sizes, into: &context)
    }
  }

  private struct Sizes {
    let batch, heads, features, queries, keys: Int
    var width: Int { heads * features }
  }

  /// All heads in one batched product (`AttentionImplementations.ORIGINAL`).
  private func original(
    _ q: Operand, _ k: Operand, _ v: Operand, _ s: Sizes, into context: inout LoweringContext
  ) throws -> Operand {
    func heads(_ x: Operand, _ tokens: Int, _ context: inout LoweringContext) throws -> Operand {
      let shape = [s.batch, s.heads, s.features, tokens]
      return try context.emit(
        "reshape", "attention_heads", ["x": .value(x), "shape": .ints(shape)], shape: shape)
    }
    let (qh, kh, vh) = (
      try heads(q, s.queries, &context), try heads(k, s.keys, &context),
      try heads(v, s.keys, &context)
    )
    let square = [s.batch, s.heads, s.queries, s.keys]
    let scores = try context.emit(
      "matmul", "attention_scores",
      [
        "x": .value(qh), "y": .value(kh), "transpose_x": .bool(true),
        "transpose_y": .bool(false),
      ], shape: square)
    let scaled = try context.emit(
      "mul", "attention_scaled", ["x": .value(scores), "y": .half(scale)],
      shape: square)
    let weights = try context.emit(
      "softmax", "attention_weights", ["x": .value(scaled), "axis": .int(-1)], shape: square)
    let values = try context.emit(
      "matmul", "attention_values",
      [
        "x": .value(vh), "y": .value(weights), "transpose_x": .bool(false),
        "transpose_y": .bool(true),
      ], shape: [s.batch, s.heads, s.features, s.queries])
    let full = [s.batch, s.width, 1, s.queries]
    return try context.emit(
      "reshape", "attention", ["x": .value(values), "shape": .ints(full)], shape: full)
  }

  /// Each head on its own, keys first (`AttentionImplementations.SPLIT_EINSUM`).
  private func splitEinsum(
    _ q: Operand, _ k: Operand, _ v: Operand, _ s: Sizes, into context: inout LoweringContext
  ) throws -> Operand {
    let keyTokens = [s.batch, s.keys, 1, s.width]
    let transposed = try context.emit(
      "transpose", "attention_keys", ["x": .value(k), "perm": .ints([0, 3, 2, 1])],
      shape: keyTokens)
    var outputs: [Operand] = []
    for head in 0..<s.heads {
      let part = head * s.features..<(head + 1) * s.features
      let qh = try context.slice(q, [s.batch, s.width, 1, s.queries], axis: 1, part)
      let kh = try context.slice(transposed, keyTokens, axis: 3, part)
      let vh = try context.slice(v, [s.batch, s.width, 1, s.keys], axis: 1, part)
      let square = [s.batch, s.keys, 1, s.queries]
      let scores = try context.emit(
        "einsum", "attention_scores",
        ["values": .values([kh, qh]), "equation": .text("bkhc,bchq->bkhq")], shape: square)
      let scaled = try context.emit(
        "mul", "attention_scaled", ["x": .value(scores), "y": .half(scale)],
        shape: square)
      let weights = try context.emit(
        "softmax", "attention_weights", ["x": .value(scaled), "axis": .int(1)],
        shape: square)
      outputs.append(
        try context.emit(
          "einsum", "attention_values",
          ["values": .values([vh, weights]), "equation": .text("bchk,bkhq->bchq")],
          shape: [s.batch, s.features, 1, s.queries]))
    }
    return try context.emit(
      "concat", "attention",
      ["values": .values(outputs), "axis": .int(1), "interleave": .bool(false)],
      shape: [s.batch, s.width, 1, s.queries])
  }
}

extension LoweringContext {
  /// A range of one axis.
  fileprivate mutating func slice(
    _ x: Operand, _ shape: [Int], axis: Int, _ part: Range<Int>
  ) throws -> Operand {
    var begin = shape.map { _ in 0 }
    var end = shape
    var whole = shape.map { _ in true }
    begin[axis] = part.lowerBound
    end[axis] = part.upperBound
    whole[axis] = false
    var result = shape
    result[axis] = part.count
    return try emit(
      "slice_by_index", "attention_head",
      [
        "x": .value(x), "begin": .ints(begin), "end": .ints(end), "end_mask": .bools(whole),
      ], shape: result)
  }
}
