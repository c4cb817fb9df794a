internal import MIL
internal import Tensors

extension Convolution2D: MILLowering {
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    let weight = inputs[1].shape.axes
    let padded = padding != Padding(0)
    return try context.convolution(
      inputs, weight: weight, stride: stride, shape: shape,
      padding: padded ? [padding.top, padding.bottom, padding.left, padding.right] : nil)
  }
}

extension Tensors.Linear: MILLowering {
  /// A 1×1 convolution, as Apple's converter makes of every linear.
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand {
    try context.convolution(
      inputs, weight: inputs[1].shape.axes + [1, 1], stride: 1, shape: shape, padding: nil)
  }
}

extension LoweringContext {
  /// - Parameter padding: zeros before and behind each spatial axis; nil for none.
  fileprivate mutating func convolution(
    _ inputs: [LoweredInput], weight: [Int], stride: Int, shape: Shape, padding: [Int]?
  ) throws -> Operand {
    let x = try inputs[0].value(in: &self)
    var arguments: [String: OperationInput] = [
      "x": .value(x), "weight": .value(try inputs[1].weight(weight, in: &self)),
      "strides": .ints([stride, stride]),
      "pad_type": .text(padding == nil ? "valid" : "custom"),
      "pad": .ints(padding ?? [0, 0, 0, 0]), "dilations": .ints([1, 1]), "groups": .int(1),
    ]
    if inputs.count > 2 {
      arguments["bias"] = .value(try inputs[2].weight([weight[0]], in: &self))
    }
    return try emit("conv", "conv_cast_fp16", arguments, shape: MILShape.of(shape))
  }
}
