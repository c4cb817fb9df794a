internal import Kernels
internal import MIL
internal import Tensors

extension TokenEmbedding: MILLowering {
  /// A look-up in the table, whose rows become columns: sequences have features second.
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let numbers = try context.wholeNumbers(try inputs[0].value(in: &context))
    let table = try inputs[1].weight(inputs[1].shape.axes, in: &context)
    let rows = try context.emit(
      "gather", "token_rows",
      ["x": .value(table), "indices": .value(numbers), "axis": .int(0)], shape: shape.axes)
    let columns = [shape[0], shape[2], shape[1]]
    let turned = try context.emit(
      "transpose", "token_columns", ["x": .value(rows), "perm": .ints([0, 2, 1])], shape: columns)
    return try context.emit(
      "expand_dims", "token_embedding", ["x": .value(turned), "axes": .ints([2])],
      shape: MILShape.of(shape))
  }
}

extension LeadingRows: MILLowering {
  /// A constant: the table's rows, turned into columns before they are stored.
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    guard case .weight(let name, let table) = inputs[0] else {
      throw ExportError.unsupportedOperation("leading rows of a computed table")
    }
    let features = table[1]
    let rows = try context.elements(name)
    let columns = rows.withSpan { rows in
      Buffer(count: count * features) { columns in
        for row in 0..<count {
          for feature in 0..<features {
            columns[feature * count + row] = rows[row * features + feature]
          }
        }
      }
    }
    return try context.constant(
      ProgramBuilder.identifier(name) + "_columns", columns, shape: MILShape.of(shape))
  }
}

extension TokenSelection: MILLowering {
  /// The token's place is that of the largest number, of the prompt or of where it equals the wanted one.
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let states = inputs[0].shape
    let (batch, tokens, features) = (states[0], states[1], states[2])
    var numbers = try context.wholeNumbers(try inputs[1].value(in: &context))
    if case .number(let wanted) = rule {
      let found = try context.emit(
        "equal", "end_of_text", ["x": .value(numbers), "y": .int(wanted)], shape: [batch, tokens],
        type: .bool)
      numbers = try context.emit(
        "cast", "end_of_text_marks", ["x": .value(found), "dtype": .text("int32")],
        shape: [batch, tokens], type: .int32)
    }
    let places = try context.emit(
      "reduce_argmax", "end_of_text_place",
      ["x": .value(numbers), "axis": .int(-1), "keep_dims": .bool(false)], shape: [batch],
      type: .int32)
    let samples = try context.integers("samples", Array(0..<batch), shape: [batch])
    let coordinates = try context.emit(
      "stack", "end_of_text_coordinates",
      ["values": .values([samples, places]), "axis": .int(1)], shape: [batch, 2], type: .int32)
    let rows = try context.tokensFirst(
      try inputs[0].value(in: &context), batch: batch, tokens: tokens, features: features)
    let selected = try context.emit(
      "gather_nd", "end_of_text_state",
      ["x": .value(rows), "indices": .value(coordinates)], shape: [batch, features])
    return try context.emit(
      "expand_dims", "end_of_text_image", ["x": .value(selected), "axes": .ints([2, 3])],
      shape: MILShape.of(shape))
  }
}

extension PrependedToken: MILLowering {
  /// Of one sequence: the token is a constant.
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    guard shape[0] == 1 else {
      throw ExportError.unsupportedOperation("a prepended token of \(shape[0]) sequences")
    }
    let token = try inputs[1].weight([1, shape[2], 1, 1], in: &context)
    return try context.emit(
      "concat", "tokens_with_first",
      [
        "values": .values([token, try inputs[0].value(in: &context)]), "axis": .int(3),
        "interleave": .bool(false),
      ], shape: MILShape.of(shape))
  }
}

extension FirstToken: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    try context.slice(
      try inputs[0].value(in: &context), MILShape.of(inputs[0].shape), axis: 3, 0..<1,
      named: "first_token")
  }
}

extension LoweringContext {
  /// A sequence `[batch, features, 1, tokens]` as `[batch, tokens, features]`.
  mutating func tokensFirst(
    _ x: Operand, batch: Int, tokens: Int, features: Int
  ) throws -> Operand {
    let turned = try emit(
      "transpose", "tokens_first", ["x": .value(x), "perm": .ints([0, 3, 2, 1])],
      shape: [batch, tokens, 1, features])
    return try emit(
      "squeeze", "tokens", ["x": .value(turned), "axes": .ints([2])],
      shape: [batch, tokens, features])
  }

  /// Token numbers come as floats.
  fileprivate mutating func wholeNumbers(_ x: Operand) throws -> Operand {
    if let known = cast[x.name] { return known }
    let numbers = try emit(
      "cast", x.name + "_numbers", ["x": .value(x), "dtype": .text("int32")], shape: x.shape,
      type: .int32)
    cast[x.name] = numbers
    return numbers
  }
}
