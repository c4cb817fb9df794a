internal import Kernels
internal import MIL

/// A function of every element.
struct Activation: MILOperation {
  static let kinds: [OperationKind] =
    plain.keys.sorted().map { OperationKind($0, [.required("x", .floats)], Activation.self) }
    + ["rsqrt", "inverse", "log"].map {
      OperationKind(
        $0, [.required("x", .floats), .optional("epsilon", .number)], Activation.self)
    } + [
      OperationKind(
        "gelu", [.required("x", .floats), .optional("mode", .text)], Activation.self),
      OperationKind(
        "clip",
        [.required("x", .floats), .required("alpha", .number), .required("beta", .number)],
        Activation.self),
    ]

  private static let plain: [String: Pointwise.Function] = [
    "abs": .abs, "sign": .sign, "ceil": .ceil, "floor": .floor, "round": .round, "exp": .exp,
    "exp2": .exp2, "sin": .sin, "cos": .cos, "tan": .tan, "asin": .asin, "acos": .acos,
    "atan": .atan, "sinh": .sinh, "cosh": .cosh, "atanh": .atanh, "tanh": .tanh, "sqrt": .sqrt,
    "square": .square, "erf": .erf, "relu": .relu, "sigmoid": .sigmoid, "silu": .silu,
  ]

  let results: [TensorType]
  private let function: Pointwise.Function

  init(_ call: Call) throws(MILError) {
    results = [TensorType(try call.type("x"), try call.shape("x"))]
    function = try Self.function(call)
  }

  private static func function(_ call: Call) throws(MILError) -> Pointwise.Function {
    if let function = plain[call.operation] { return function }
    // In half precision the smallest of these is zero.
    let isHalf = try call.type("x") == .float16
    switch call.operation {
    case "rsqrt": return .rsqrt(epsilon: try call.number("epsilon", or: isHalf ? 0 : 1e-12))
    case "inverse": return .inverse(epsilon: try call.number("epsilon", or: 1e-4))
    case "log": return .log(epsilon: try call.number("epsilon", or: isHalf ? 0 : .leastNonzeroMagnitude))
    case "clip":
      let low = try call.number("alpha", or: 0)
      let high = try call.number("beta", or: 0)
      guard low <= high else { throw call.refuse("beta", "at least \(low)", "\(high)") }
      return .clip(low: low, high: high)
    default:
      switch try call.text("mode", or: "EXACT") {
      case "EXACT": return .geluExact
      case "TANH_APPROXIMATION": return .geluTanh
      case "SIGMOID_APPROXIMATION": return .geluSigmoid
      case let mode:
        throw call.refuse(
          "mode", "EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION", "'\(mode)'")
      }
    }
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    return [RuntimeValue(x.type, x.shape, Pointwise.apply(function, floats))]
  }
}

/// Two shapes stretched over each other, aligned at their ends.
struct Broadcast: Sendable {
  let shape: [Int]

  init(_ x: [Int], _ y: [Int], _ call: Call) throws(MILError) {
    let rank = max(x.count, y.count)
    var shape: [Int] = []
    for axis in 0..<rank {
      let dx = axis < rank - x.count ? 1 : x[axis - rank + x.count]
      let dy = axis < rank - y.count ? 1 : y[axis - rank + y.count]
      guard dx == dy || dx == 1 || dy == 1 else {
        throw call.refuse("y", "a shape that goes with \(x)", "\(y)")
      }
      shape.append(dx == 1 ? dy : dx)
    }
    self.shape = shape
  }

  /// Strides of an operand along the common shape, zero where it repeats.
  func strides(_ operand: [Int]) -> [Int] {
    let own = TensorShape.strides(operand)
    return shape.indices.map { axis in
      let at = axis - shape.count + operand.count
      return at < 0 || operand[at] == 1 ? 0 : own[at]
    }
  }

  /// Positions of an operand's elements in the order of the common shape.
  func positions(_ operand: [Int]) -> [Int] {
    StridedView(shape: shape, strides: strides(operand)).positions()
  }
}

/// A function of two numbers, floats or integers.
struct Arithmetic: MILOperation {
  static let kinds = functions.keys.sorted().map {
    OperationKind($0, [.required("x", .numbers), .required("y", .numbers)], Arithmetic.self)
  }

  private static let functions: [String: Pointwise.Combination] = [
    "add": .add, "sub": .subtract, "mul": .multiply, "real_div": .divide, "maximum": .maximum,
    "minimum": .minimum, "pow": .power, "floor_div": .floorDivide, "mod": .modulo,
  ]

  let results: [TensorType]
  private let broadcast: Broadcast
  private let function: Pointwise.Combination

  init(_ call: Call) throws(MILError) {
    let type = try call.type("x")
    guard try call.type("y").isFloat == type.isFloat else {
      throw call.refuse("y", "\(type)", "\(try call.type("y"))")
    }
    broadcast = try Broadcast(try call.shape("x"), try call.shape("y"), call)
    function = Self.functions[call.operation] ?? .add
    results = [TensorType(type, broadcast.shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    let y = try call.value("y")
    if case .integers(let xs) = x.storage, case .integers(let ys) = y.storage {
      var values: [Int32] = []
      for (i, j) in zip(broadcast.positions(x.shape), broadcast.positions(y.shape)) {
        values.append(try integer(xs[i], ys[j], call))
      }
      return [RuntimeValue(x.type, broadcast.shape, .integers(values))]
    }
    guard let xs = x.floats, let ys = y.floats else {
      throw call.refuse("y", "\(x.type)", "\(y.type)")
    }
    let z = Pointwise.combine(
      function, xs, strides: broadcast.strides(x.shape), ys, strides: broadcast.strides(y.shape),
      shape: broadcast.shape)
    return [RuntimeValue(x.type, broadcast.shape, z)]
  }

  private func integer(_ x: Int32, _ y: Int32, _ call: Call) throws(MILError) -> Int32 {
    switch function {
    case .add: return x &+ y
    case .subtract: return x &- y
    case .multiply: return x &* y
    case .maximum: return max(x, y)
    case .minimum: return min(x, y)
    case .power:
      guard y >= 0 else { throw call.refuse("y", "an exponent of 0 or more", "\(y)") }
      return power(x, y)
    case .divide:
      // coremltools' value of a quotient that is not whole is none of the declared type.
      guard y != 0, !(x == .min && y == -1), x % y == 0 else {
        throw call.refuse("y", "a divisor that goes into \(x), where whole numbers are divided", "\(y)")
      }
      return x / y
    case .floorDivide, .modulo:
      guard y != 0 else { throw call.refuse("y", "a divisor other than 0", "0") }
      let (quotient, remainder) = x.flooredDivision(by: y)
      return function == .modulo ? remainder : quotient
    }
  }

  /// By repeated squaring; the low 32 bits, as everywhere here.
  private func power(_ x: Int32, _ y: Int32) -> Int32 {
    var (result, base, exponent) = (Int32(1), x, y)
    while exponent > 0 {
      if exponent & 1 == 1 { result = result &* base }
      base = base &* base
      exponent >>= 1
    }
    return result
  }
}

extension Int32 {
  /// Quotient rounded down, and the remainder that has the divisor's sign.
  fileprivate func flooredDivision(by divisor: Int32) -> (quotient: Int32, remainder: Int32) {
    var (quotient, remainder) = Int64(self).quotientAndRemainder(dividingBy: Int64(divisor))
    if remainder != 0, (remainder < 0) != (divisor < 0) {
      quotient -= 1
      remainder += Int64(divisor)
    }
    return (Int32(truncatingIfNeeded: quotient), Int32(truncatingIfNeeded: remainder))
  }
}
