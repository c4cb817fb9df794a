internal import Kernels
internal import MIL
internal import Tensors

extension Reshape: MILLowering {
  /// Nothing at all where only an axis of length one moves.
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let x = try inputs[0].value(in: &context)
    let source = inputs[0].shape
    let full = MILShape.of(shape)
    guard MILShape.of(source) != full else { return x }
    // Channels stand second in MIL, so that only pixels may be regrouped, or rows that have none.
    guard
      (source.rank <= 2 && shape.rank <= 2)
        || (source[0] == shape[0] && source.last == shape.last)
    else { throw ExportError.unsupportedOperation("reshape of \(source) to \(shape)") }
    return try context.emit(
      "reshape", "reshape", ["x": .value(x), "shape": .ints(full)], shape: full)
  }
}

extension Concatenate: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    var values: [Operand] = []
    for input in inputs { values.append(try input.value(in: &context)) }
    return try context.emit(
      "concat", "concat",
      ["values": .values(values), "axis": .int(1), "interleave": .bool(false)],
      shape: MILShape.of(shape))
  }
}

extension UpsampleNearest: MILLowering {
  /// Whole factors only: Core ML computes the target size from the factor in floating point.
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let source = inputs[0].shape
    guard height % source[1] == 0, width % source[2] == 0 else {
      throw ExportError.size(height: height, width: width, multiple: 2)
    }
    return try context.emit(
      "upsample_nearest_neighbor", "upsample",
      [
        "x": .value(try inputs[0].value(in: &context)),
        "scale_factor_height": .single(Float(height / source[1])),
        "scale_factor_width": .single(Float(width / source[2])),
      ], shape: MILShape.of(shape))
  }
}

extension TimestepEmbedding: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let batch = shape[0]
    let half = features / 2
    let steps = try context.emit(
      "expand_dims", "timestep_column",
      ["x": .value(try inputs[0].value(in: &context)), "axes": .ints([1])],
      shape: [batch, 1])
    let table = try context.constant("timestep_frequencies", Buffer(frequencies), shape: [1, half])
    let angles = try context.emit(
      "mul", "timestep_angles",
      ["x": .value(steps), "y": .value(table)], shape: [batch, half])
    let sines = try context.emit(
      "sin", "timestep_sines", ["x": .value(angles)], shape: [batch, half])
    let cosines = try context.emit(
      "cos", "timestep_cosines", ["x": .value(angles)], shape: [batch, half])
    let row = try context.emit(
      "concat", "timestep_features",
      [
        "values": .values(flipped ? [cosines, sines] : [sines, cosines]), "axis": .int(-1),
        "interleave": .bool(false),
      ], shape: [batch, features])
    return try context.emit(
      "expand_dims", "timestep_embedding", ["x": .value(row), "axes": .ints([2, 3])],
      shape: [batch, features, 1, 1])
  }
}

extension LoweringContext {
  /// A range of one axis.
  mutating func slice(
    _ x: Operand, _ shape: [Int], axis: Int, _ part: Range<Int>,
    named name: String = "attention_head"
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
      "slice_by_index", name,
      [
        "x": .value(x), "begin": .ints(begin), "end": .ints(end), "end_mask": .bools(whole),
      ], shape: result)
  }
}
