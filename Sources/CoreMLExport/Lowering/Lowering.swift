internal import MIL
internal import Tensors

/// An operation of the engine that knows its MIL form.
protocol MILLowering: Tensors.Operation {
  /// Appends the operations that compute this one.
  ///
  /// - Parameters:
  ///   - inputs: values already lowered, and weights by name.
  ///   - shape: of the result in the engine.
  /// - Returns: the name of the result, of MIL shape `MILShape.of(shape)`.
  func lower(
    _ inputs: [LoweredInput], shape: Shape, into context: inout LoweringContext
  ) throws -> Operand
}

/// An input of an operation that is being lowered.
enum LoweredInput {
  /// A computed value and its shape in the engine.
  case value(Operand, Shape)
  /// A weight of the network.
  case weight(String, Shape)

  var shape: Shape {
    switch self {
    case .value(_, let shape), .weight(_, let shape): shape
    }
  }

  /// The name of a computed value.
  func value(in context: inout LoweringContext) throws -> Operand {
    switch self {
    case .value(let name, _): name
    case .weight(let name, let shape): try context.weight(name, shape: MILShape.of(shape))
    }
  }

  /// A weight in the given MIL shape.
  func weight(_ shape: [Int], in context: inout LoweringContext) throws -> Operand {
    guard case .weight(let name, _) = self else {
      preconditionFailure("lowering: a computed value where a weight belongs")
    }
    return try context.weight(name, shape: shape)
  }
}

/// MIL shapes of the engine's tensors: channels or features second, always four axes.
enum MILShape {
  static func of(_ shape: Shape) -> [Int] {
    switch shape.rank {
    case 4: [shape[0], shape[3], shape[1], shape[2]]
    case 3: [shape[0], shape[2], 1, shape[1]]
    case 2: [shape[0], shape[1], 1, 1]
    default: shape.axes
    }
  }
}
