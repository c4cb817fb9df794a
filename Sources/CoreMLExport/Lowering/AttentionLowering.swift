internal import Kernels
internal import MIL
internal import Tensors

extension Tensors.Attention: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let q = try inputs[0].value(in: &context)
    let k = try inputs[1].value(in: &context)
    let v = try inputs[2].value(in: &context)
    let sizes = Sizes(
      batch: shape[0], heads: heads, features: shape[2] / heads, queries: shape[1],
      keys: inputs[1].shape[1])
    switch context.options.attention {
    // The split forms take no mask, in Apple's converter too.
    case _ where causal: return try original(q, k, v, sizes, into: &context)
    case .original: return try original(q, k, v, sizes, into: &context)
    case .splitEinsum:
      return try splitEinsum(q, k, v, sizes, pieces: [0..<sizes.queries], into: &context)
    case .splitEinsumV2:
      let pieces = stride(from: 0, to: sizes.queries, by: 512).map {
        $0..<min($0 + 512, sizes.queries)
      }
      return try splitEinsum(q, k, v, sizes, pieces: pieces, into: &context)
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
    var scaled = try context.emit(
      "mul", "attention_scaled", ["x": .value(scores), "y": context.scalar(scale)],
      shape: square)
    if causal {
      let mask = try context.causalMask(tokens: s.queries)
      scaled = try context.emit(
        "add", "attention_masked", ["x": .value(scaled), "y": .value(mask)], shape: square)
    }
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

  /// Each head on its own, keys first (`AttentionImplementations.SPLIT_EINSUM`), and the queries in pieces
  /// (`SPLIT_EINSUM_V2`, which loses what is left over when they are no multiple of 512; here it is a shorter piece).
  private func splitEinsum(
    _ q: Operand, _ k: Operand, _ v: Operand, _ s: Sizes, pieces: [Range<Int>],
    into context: inout LoweringContext
  ) throws -> Operand {
    let keyTokens = [s.batch, s.keys, 1, s.width]
    let transposed = try context.emit(
      "transpose", "attention_keys", ["x": .value(k), "perm": .ints([0, 3, 2, 1])],
      shape: keyTokens)
    var outputs: [Operand] = []
    for head in 0..<s.heads {
      let part = head * s.features..<(head + 1) * s.features
      let kh = try context.slice(transposed, keyTokens, axis: 3, part)
      let vh = try context.slice(v, [s.batch, s.width, 1, s.keys], axis: 1, part)
      let qh = try context.slice(q, [s.batch, s.width, 1, s.queries], axis: 1, part)
      var answers: [Operand] = []
      for piece in pieces {
        let queries =
          pieces.count == 1
          ? qh : try context.slice(qh, [s.batch, s.features, 1, s.queries], axis: 3, piece)
        answers.append(try answer(queries, kh, vh, s, count: piece.count, into: &context))
      }
      outputs.append(
        try context.concat(answers, axis: 3, shape: [s.batch, s.features, 1, s.queries]))
    }
    return try context.concat(outputs, axis: 1, shape: [s.batch, s.width, 1, s.queries])
  }

  /// One head's answer to `count` queries.
  private func answer(
    _ q: Operand, _ k: Operand, _ v: Operand, _ s: Sizes, count: Int,
    into context: inout LoweringContext
  ) throws -> Operand {
    let square = [s.batch, s.keys, 1, count]
    let scores = try context.emit(
      "einsum", "attention_scores",
      ["values": .values([k, q]), "equation": .text("bkhc,bchq->bkhq")], shape: square)
    let scaled = try context.emit(
      "mul", "attention_scaled", ["x": .value(scores), "y": context.scalar(scale)], shape: square)
    let weights = try context.emit(
      "softmax", "attention_weights", ["x": .value(scaled), "axis": .int(1)], shape: square)
    return try context.emit(
      "einsum", "attention_values",
      ["values": .values([v, weights]), "equation": .text("bchk,bkhq->bchq")],
      shape: [s.batch, s.features, 1, count])
  }
}

extension LoweringContext {
  /// Values side by side; a single one as it is.
  fileprivate mutating func concat(
    _ values: [Operand], axis: Int, shape: [Int]
  ) throws -> Operand {
    guard values.count > 1 else { return values[0] }
    return try emit(
      "concat", "attention",
      ["values": .values(values), "axis": .int(axis), "interleave": .bool(false)], shape: shape)
  }

  /// What is added to scores so that no token sees a later one: −10000, finite as half precision and palettes need it,
  /// and stored once.
  fileprivate mutating func causalMask(tokens: Int) throws -> Operand {
    if let mask = masks[tokens] { return mask }
    let values = (0..<tokens * tokens).map { Float($0 % tokens > $0 / tokens ? -10_000 : 0) }
    let mask = try constant("causal_mask", Buffer(values), shape: [1, 1, tokens, tokens])
    masks[tokens] = mask
    return mask
  }
}
