internal import Kernels
internal import MIL

/// What a step of a plan does: an operation of the program, or what several were fused into.
protocol RunnableOperation: Sendable {
  /// Types of the results; a dimension that only the data decide is `nil`.
  var results: [TensorType] { get }
  func run(_ call: Call) throws(MILError) -> [RuntimeValue]
}

/// An operation of a program: its arguments read and checked, its results' types known, ready to
/// run.
///
/// `init` reads the arguments, refuses wrong ones and finds the results' types. It needs the types
/// of all inputs but the values only of those parameters whose kind says so. ``run(_:)`` may then
/// rely on everything that was checked.
protocol MILOperation: RunnableOperation {
  init(_ call: Call) throws(MILError)
}

/// An operation that can write its only result over its argument `x`, of as many elements.
protocol OverwritingOperation: RunnableOperation {
  /// - Parameter overwriting: whether to; only where nothing else reads `x`.
  func run(_ call: Call, overwriting: Bool) throws(MILError) -> [RuntimeValue]
}

extension OverwritingOperation {
  func run(_ call: Call) throws(MILError) -> [RuntimeValue] { try run(call, overwriting: false) }
}

/// An operation's entry in the list of all operations.
struct OperationKind: Sendable {
  let name: String
  let parameters: [Parameter]
  let prepare: @Sendable (Call) throws(MILError) -> any MILOperation

  init<Implementation: MILOperation>(
    _ name: String, _ parameters: [Parameter], _: Implementation.Type
  ) {
    self.name = name
    self.parameters = parameters
    prepare = { (call) throws(MILError) in try Implementation(call) }
  }

  /// Checks an operation's arguments against the parameters: none unknown, none missing, each of a
  /// fitting kind.
  func check(_ arguments: [String: [Argument]], _ place: Place) throws(MILError) {
    for name in arguments.keys.sorted() where !parameters.contains(where: { $0.name == name }) {
      throw .argument(
        place, name: name, expected: "one of \(parameters.map(\.name).joined(separator: ", "))",
        found: "an unknown name")
    }
    for parameter in parameters {
      guard let bindings = arguments[parameter.name] else {
        guard parameter.isOptional else {
          throw .argument(place, name: parameter.name, expected: "a value", found: "none")
        }
        continue
      }
      guard parameter.kind == .several || bindings.count == 1, !bindings.isEmpty else {
        throw .argument(
          place, name: parameter.name, expected: "one value", found: "\(bindings.count)")
      }
      for binding in bindings where !parameter.kind.accepts(binding.type.dataType) {
        throw .argument(
          place, name: parameter.name, expected: "\(parameter.kind.rawValue)",
          found: "\(binding.type)")
      }
    }
  }
}

/// A named argument that an operation takes.
struct Parameter: Sendable {
  enum Kind: String, Sendable {
    /// Needed when the operation runs.
    case floats = "floats"
    case numbers = "numbers"
    case any = "a tensor"
    case several = "tensors"
    case booleanTensor = "truth values"
    case integerTensor = "integer numbers"
    /// Needed before: they decide the results' types.
    case integers = "integers"
    case number = "a number"
    case boolean = "true or false"
    case text = "a text"

    var isNeededEarly: Bool {
      switch self {
      case .integers, .number, .boolean, .text: true
      default: false
      }
    }

    func accepts(_ type: DataType) -> Bool {
      switch self {
      case .floats: type.isFloat
      case .numbers, .number: type.isFloat || type.isInteger
      case .any, .several: type.isFloat || type.isInteger || type == .bool
      case .integers, .integerTensor: type.isInteger
      case .boolean, .booleanTensor: type == .bool
      case .text: type == .string
      }
    }
  }

  let name: String
  let kind: Kind
  let isOptional: Bool

  static func required(_ name: String, _ kind: Kind) -> Parameter {
    Parameter(name: name, kind: kind, isOptional: false)
  }

  static func optional(_ name: String, _ kind: Kind) -> Parameter {
    Parameter(name: name, kind: kind, isOptional: true)
  }
}

/// What is known of an argument: its type always, its value once there is one.
struct Argument: Sendable {
  let type: TensorType
  let value: RuntimeValue?

  init(_ type: TensorType) {
    self.type = type
    value = nil
  }

  init(_ value: RuntimeValue) {
    type = value.tensorType
    self.value = value
  }
}

/// An operation's arguments at one moment.
struct Call: Sendable {
  let place: Place
  let operation: String
  let arguments: [String: [Argument]]
  /// Types that the program declares for the results.
  let declared: [TensorType]

  func has(_ name: String) -> Bool { arguments[name] != nil }

  func refuse(_ name: String, _ expected: String, _ found: String) -> MILError {
    .argument(place, name: name, expected: expected, found: found)
  }

  /// Whether ``MILOperation/init(_:)`` has what it needs: all shapes, and the values that decide
  /// types.
  func isReady(for parameters: [Parameter]) -> Bool {
    parameters.allSatisfy { parameter in
      guard let bindings = arguments[parameter.name] else { return true }
      return bindings.allSatisfy {
        $0.type.shape != nil && (!parameter.kind.isNeededEarly || $0.value != nil)
      }
    }
  }

  // MARK: What is known early

  private func argument(_ name: String) throws(MILError) -> Argument {
    guard let argument = arguments[name]?.first else { throw refuse(name, "a value", "none") }
    return argument
  }

  func type(_ name: String) throws(MILError) -> DataType { try argument(name).type.dataType }

  func shape(_ name: String) throws(MILError) -> [Int] {
    guard let shape = try argument(name).type.shape else {
      throw refuse(name, "a known shape", "\(try argument(name).type)")
    }
    return shape
  }

  func types(_ name: String) throws(MILError) -> [(type: DataType, shape: [Int])] {
    var types: [(DataType, [Int])] = []
    for argument in arguments[name] ?? [] {
      guard let shape = argument.type.shape else {
        throw refuse(name, "known shapes", "\(argument.type)")
      }
      types.append((argument.type.dataType, shape))
    }
    return types
  }

  func integers(_ name: String) throws(MILError) -> [Int] {
    guard case .integers(let values) = try value(name).storage else {
      throw refuse(name, "integers", "another type")
    }
    return values.map { Int($0) }
  }

  func integers(_ name: String, or standard: [Int]?) throws(MILError) -> [Int] {
    if let standard, !has(name) { return standard }
    return try integers(name)
  }

  func integer(_ name: String, or standard: Int? = nil) throws(MILError) -> Int {
    if let standard, !has(name) { return standard }
    let values = try integers(name)
    guard values.count == 1 else { throw refuse(name, "one integer", "\(values.count)") }
    return values[0]
  }

  func booleans(_ name: String, or standard: [Bool]) throws(MILError) -> [Bool] {
    guard has(name) else { return standard }
    guard case .booleans(let values) = try value(name).storage else {
      throw refuse(name, "truth values", "another type")
    }
    return values
  }

  func boolean(_ name: String, or standard: Bool) throws(MILError) -> Bool {
    let values = try booleans(name, or: [standard])
    guard values.count == 1 else { throw refuse(name, "one truth value", "\(values.count)") }
    return values[0]
  }

  func text(_ name: String, or standard: String? = nil) throws(MILError) -> String {
    if let standard, !has(name) { return standard }
    guard case .strings(let values) = try value(name).storage, values.count == 1 else {
      throw refuse(name, "one text", "another value")
    }
    return values[0]
  }

  func number(_ name: String, or standard: Float) throws(MILError) -> Float {
    guard has(name) else { return standard }
    let value = try value(name)
    guard value.count == 1 else { throw refuse(name, "one number", "\(value.count)") }
    switch value.storage {
    case .integers(let values): return Float(values[0])
    default:
      guard let floats = value.floats else { throw refuse(name, "a number", "\(value.type)") }
      return floats[0]
    }
  }

  /// An axis of a tensor of `rank`, negative ones counted from the end.
  func axis(_ name: String, rank: Int, or standard: Int? = nil) throws(MILError) -> Int {
    try normalized(try integer(name, or: standard), rank, name)
  }

  func axes(_ name: String, rank: Int, or standard: [Int]? = nil) throws(MILError) -> [Int] {
    var axes: [Int] = []
    for axis in try integers(name, or: standard) {
      axes.append(try normalized(axis, rank, name))
    }
    guard Set(axes).count == axes.count else { throw refuse(name, "different axes", "\(axes)") }
    return axes
  }

  private func normalized(_ axis: Int, _ rank: Int, _ name: String) throws(MILError) -> Int {
    guard axis >= -rank, axis < rank else {
      throw refuse(name, "an axis of \(rank)", "\(axis)")
    }
    return axis < 0 ? axis + rank : axis
  }

  // MARK: What is known when running

  func value(_ name: String) throws(MILError) -> RuntimeValue {
    guard let value = try argument(name).value else { throw refuse(name, "a value", "none yet") }
    return value
  }

  func values(_ name: String) throws(MILError) -> [RuntimeValue] {
    (arguments[name] ?? []).compactMap(\.value)
  }
}
