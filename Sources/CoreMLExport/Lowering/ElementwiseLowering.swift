internal import Kernels
internal import MIL
internal import Tensors

extension Activation: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let x = OperationInput.value(try inputs[0].value(in: &context))
    let full = MILShape.of(shape)
    switch function {
    case .silu: return try context.emit("silu", "silu", ["x": x], shape: full)
    case .geluErf:
      return try context.emit("gelu", "gelu", ["x": x, "mode": .text("EXACT")], shape: full)
    case .geluTanh:
      return try context.emit(
        "gelu", "gelu", ["x": x, "mode": .text("TANH_APPROXIMATION")], shape: full)
    case .geluQuick:
      return try context.emit(
        "gelu", "gelu", ["x": x, "mode": .text("SIGMOID_APPROXIMATION")], shape: full)
    case .sigmoid: return try context.emit("sigmoid", "sigmoid", ["x": x], shape: full)
    case .tanh: return try context.emit("tanh", "tanh", ["x": x], shape: full)
    case .relu: return try context.emit("relu", "relu", ["x": x], shape: full)
    }
  }
}

extension Arithmetic: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let type =
      switch operation {
      case .add: "add"
      case .subtract: "sub"
      case .multiply: "mul"
      }
    return try context.emit(
      type, type,
      [
        "x": .value(try inputs[0].value(in: &context)),
        "y": .value(try inputs[1].value(in: &context)),
      ], shape: MILShape.of(shape))
  }
}

extension GEGLU: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let half = MILShape.of(shape)
    let x = try inputs[0].value(in: &context)
    let parts = try context.emit(
      "split", "geglu_part",
      ["x": .value(x), "axis": .int(1), "split_sizes": .ints([half[1], half[1]])],
      shapes: [half, half])
    let gate = try context.emit(
      "gelu", "geglu_gate", ["x": .value(parts[1]), "mode": .text("EXACT")], shape: half)
    return try context.emit(
      "mul", "geglu", ["x": .value(parts[0]), "y": .value(gate)], shape: half)
  }
}
