internal import Kernels
internal import MIL

/// `x < y` and its kin: truth values.
struct Comparison: MILOperation {
  static let kinds = relations.keys.sorted().map {
    OperationKind($0, [.required("x", .any), .required("y", .any)], Comparison.self)
  }

  private static let relations: [String: @Sendable (Float, Float) -> Bool] = [
    "equal": { $0 == $1 }, "not_equal": { $0 != $1 }, "greater": { $0 > $1 },
    "greater_equal": { $0 >= $1 }, "less": { $0 < $1 }, "less_equal": { $0 <= $1 },
  ]

  let results: [TensorType]
  private let broadcast: Broadcast

  init(_ call: Call) throws(MILError) {
    guard try call.type("x").isFloat == call.type("y").isFloat else {
      throw call.refuse("y", "\(try call.type("x"))", "\(try call.type("y"))")
    }
    broadcast = try Broadcast(try call.shape("x"), try call.shape("y"), call)
    results = [TensorType(.bool, broadcast.shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    let y = try call.value("y")
    let pairs = zip(broadcast.positions(x.shape), broadcast.positions(y.shape))
    let truths: [Bool]
    if let xs = x.wholeNumbers, let ys = y.wholeNumbers {
      truths = pairs.map { relate(xs[$0], ys[$1], call.operation) }
    } else if let xs = x.floats, let ys = y.floats, let relation = Self.relations[call.operation] {
      truths = pairs.map { relation(xs[$0], ys[$1]) }
    } else {
      throw call.refuse("y", "\(x.type)", "\(y.type)")
    }
    return [RuntimeValue(.bool, broadcast.shape, .booleans(truths))]
  }

  private func relate(_ x: Int32, _ y: Int32, _ relation: String) -> Bool {
    switch relation {
    case "equal": x == y
    case "not_equal": x != y
    case "greater": x > y
    case "greater_equal": x >= y
    case "less": x < y
    default: x <= y
    }
  }
}

extension RuntimeValue {
  /// Integers, or truth values as 0 and 1.
  var wholeNumbers: [Int32]? {
    switch storage {
    case .integers(let values): values
    case .booleans(let values): values.map { $0 ? 1 : 0 }
    default: nil
    }
  }
}

/// `and`, `or`, `xor`, `not`.
struct Logic: MILOperation {
  static let kinds =
    ["logical_and", "logical_or", "logical_xor"].map {
      OperationKind(
        $0, [.required("x", .booleanTensor), .required("y", .booleanTensor)], Logic.self)
    } + [OperationKind("logical_not", [.required("x", .booleanTensor)], Logic.self)]

  let results: [TensorType]
  private let broadcast: Broadcast

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    broadcast = try Broadcast(x, call.has("y") ? try call.shape("y") : x, call)
    results = [TensorType(.bool, broadcast.shape)]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.booleans("x", or: [])
    let xs = broadcast.positions(try call.shape("x")).map { x[$0] }
    let truths: [Bool]
    if call.operation == "logical_not" {
      truths = xs.map { !$0 }
    } else {
      let y = try call.booleans("y", or: [])
      let ys = broadcast.positions(try call.shape("y")).map { y[$0] }
      truths = zip(xs, ys).map {
        switch call.operation {
        case "logical_and": $0 && $1
        case "logical_or": $0 || $1
        default: $0 != $1
        }
      }
    }
    return [RuntimeValue(.bool, broadcast.shape, .booleans(truths))]
  }
}

/// Another element type: floats to integers are cut towards zero, truth values become 0 and 1.
struct Cast: MILOperation {
  static let kinds = [
    OperationKind("cast", [.required("x", .any), .required("dtype", .text)], Cast.self)
  ]

  let results: [TensorType]
  private let type: DataType

  init(_ call: Call) throws(MILError) {
    let name = try call.text("dtype")
    let types: [DataType] = [.float16, .float32, .int8, .int16, .int32, .uint8, .uint16, .bool]
    guard let type = types.first(where: { $0.description == name }) else {
      throw call.refuse("dtype", "one of \(types)", "'\(name)'")
    }
    self.type = type
    results = [TensorType(type, try call.shape("x"))]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    if type.isFloat {
      // Arithmetic is 32-bit whatever is declared, so a cast between float types changes nothing.
      if x.type.isFloat { return [RuntimeValue(type, x.shape, x.storage)] }
      let values = x.wholeNumbers ?? []
      return [RuntimeValue(type, x.shape, Buffer(values.map { Float($0) }))]
    }
    if type == .bool {
      let truths = x.wholeNumbers?.map { $0 != 0 } ?? (x.floats?.elements ?? []).map { $0 != 0 }
      return [RuntimeValue(.bool, x.shape, .booleans(truths))]
    }
    let whole = x.wholeNumbers ?? (x.floats?.elements ?? []).map(Self.truncated)
    return [RuntimeValue(type, x.shape, .integers(whole.map(narrowed)))]
  }

  /// The number without its fraction, held inside the range.
  static func truncated(_ x: Float) -> Int32 {
    if x.isNaN { return 0 }
    return x >= 2_147_483_648 ? .max : x <= -2_147_483_648 ? .min : Int32(x)
  }

  /// Keeps the low bits, as a narrower register would.
  private func narrowed(_ x: Int32) -> Int32 {
    switch type {
    case .int8: Int32(Int8(truncatingIfNeeded: x))
    case .int16: Int32(Int16(truncatingIfNeeded: x))
    case .uint8: Int32(UInt8(truncatingIfNeeded: x))
    case .uint16: Int32(UInt16(truncatingIfNeeded: x))
    default: x
    }
  }
}
