internal import Kernels
internal import MIL
internal import Tensors

extension GroupNorm: MILLowering {
  /// Moments over `[channels / groups, height, width]` written out, then weight and bias as a `batch_norm` of mean 0
  /// and variance 1: the form the Neural Engine runs (Apple's converter).
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let full = MILShape.of(shape)
    let grouped = [full[0], groups, full[1] / groups, full[2], full[3]]
    let moments = [full[0], groups, 1, 1, 1]
    let axes = OperationInput.ints([2, 3, 4])
    let input = try inputs[0].value(in: &context)
    let x = try context.emit(
      "reshape", "group_norm_reshape", ["x": .value(input), "shape": .ints(grouped)],
      shape: grouped)
    let mean = try context.emit(
      "reduce_mean", "group_norm_mean",
      ["x": .value(x), "axes": axes, "keep_dims": .bool(true)], shape: moments)
    let centered = try context.emit(
      "sub", "group_norm_centered", ["x": .value(x), "y": .value(mean)], shape: grouped)
    let square = try context.emit(
      "square", "group_norm_square", ["x": .value(centered)], shape: grouped)
    let variance = try context.emit(
      "reduce_mean", "group_norm_variance",
      ["x": .value(square), "axes": axes, "keep_dims": .bool(true)], shape: moments)
    let shifted = try context.emit(
      "add", "group_norm_shifted", ["x": .value(variance), "y": context.scalar(epsilon)],
      shape: moments)
    let deviation = try context.emit(
      "sqrt", "group_norm_deviation", ["x": .value(shifted)], shape: moments)
    let normalized = try context.emit(
      "real_div", "group_norm_normalized", ["x": .value(centered), "y": .value(deviation)],
      shape: grouped)
    let image = try context.emit(
      "reshape", "group_norm_image", ["x": .value(normalized), "shape": .ints(full)],
      shape: full)
    let channels = full[1]
    let zeros = try context.constant(
      "zeros", Buffer(repeating: 0, count: channels), shape: [channels])
    let ones = try context.constant(
      "ones", Buffer(repeating: 1, count: channels), shape: [channels])
    let y = try context.emit(
      "batch_norm", "group_norm",
      [
        "x": .value(image),
        "mean": .value(zeros),
        "variance": .value(ones),
        "gamma": .value(try inputs[1].weight([channels], in: &context)),
        "beta": .value(try inputs[2].weight([channels], in: &context)),
        "epsilon": context.scalar(1e-5),
      ], shape: full)
    return silu ? try context.emit("silu", "silu", ["x": .value(y)], shape: full) : y
  }
}

extension LayerNorm: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    var arguments: [String: OperationInput] = [
      "x": .value(try inputs[0].value(in: &context)), "axes": .ints([1]),
      "epsilon": context.scalar(epsilon),
    ]
    if inputs.count > 2 {
      let features = [shape.last]
      arguments["gamma"] = .value(try inputs[1].weight(features, in: &context))
      arguments["beta"] = .value(try inputs[2].weight(features, in: &context))
    }
    return try context.emit("layer_norm", "layer_norm", arguments, shape: MILShape.of(shape))
  }
}
