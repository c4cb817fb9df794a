internal import Kernels
internal import MIL

/// Checks a program from its first operation to its last and lays out how it runs; nothing is
/// computed but constants.
struct Verifier {
  private let package: ModelPackage
  let function: Function
  private let interface: Model.Interface
  private let reader: ConstantReader
  private var slots: [String: Int] = [:]
  private var types: [TensorType] = []
  private var result = Plan()
  /// Places that constants and products list, and how many all of them may: half a gigabyte.
  private var listedPlaces = 0
  private static let mostListedPlaces = 1 << 26

  /// - Parameter name: of the function; the package's own choice if not given.
  init(_ package: ModelPackage, function name: String?) throws(MILError) {
    let name = name ?? package.model.defaultFunction
    guard let function = package.model.functions[name] else {
      throw .model(
        package: package.path, expected: "a function '\(name)'", found: "\(package.model.functions.keys.sorted())")
    }
    self.package = package
    self.function = function
    interface = package.model.interface(of: name)
    reader = ConstantReader(package: package)
  }

  mutating func plan() throws(MILError) -> Plan {
    for input in function.inputs {
      let place = Place(package: package.path, operation: "input", name: input.name)
      guard let type = input.type.tensor, type.dataType.isFloat || type.dataType.isInteger else {
        throw .program(place, expected: "a tensor of numbers", found: "\(input.type)")
      }
      let slot = try define(input.name, type, place)
      result.inputs.append(Plan.Port(name: input.name, type: type, slot: slot))
    }
    for operation in function.block.operations { try check(operation) }
    for name in function.block.outputs {
      let place = Place(package: package.path, operation: "output", name: name)
      guard let slot = slots[name] else {
        throw .program(place, expected: "a value of that name", found: "none")
      }
      let type = types[slot]
      guard type.dataType.isFloat || type.dataType.isInteger || type.dataType == .bool else {
        throw .program(place, expected: "a tensor of numbers", found: "\(type)")
      }
      result.outputs.append(Plan.Port(name: name, type: type, slot: slot))
    }
    try checkInterface()
    result.steps = AttentionFusion(result)(result)
    result.steps = HeadFusion(result)(result)
    result.steps = GroupNormFusion(result)(result)
    result.steps = ShortcutFirst(result)(result)
    releaseEarly()
    try checkMemory()
    return result
  }

  private mutating func define(
    _ name: String, _ type: TensorType, _ place: Place, _ constant: RuntimeValue? = nil
  ) throws(MILError) -> Int {
    guard !name.isEmpty, slots[name] == nil else {
      throw .program(place, expected: "a new name for each value", found: "'\(name)' again")
    }
    let slot = types.count
    slots[name] = slot
    types.append(type)
    result.constants.append(constant)
    return slot
  }

  private mutating func check(_ operation: ProgramOperation) throws(MILError) {
    let place = Place(
      package: package.path, operation: operation.type, name: operation.outputs.first?.name ?? "")
    guard operation.blockCount == 0 else {
      throw .unknownOperation(place, hint: "operations with blocks are not supported")
    }
    guard !operation.outputs.isEmpty else {
      throw .program(place, expected: "a result", found: "none")
    }
    let declared = try declared(operation, place)
    if operation.type == "const" {
      try constant(operation, declared, place)
    } else if let kind = ConstantOperation.all.first(where: { $0.name == operation.type }) {
      try compressed(operation, kind, declared, place)
    } else {
      try step(operation, declared, place)
    }
  }

  private func declared(
    _ operation: ProgramOperation, _ place: Place
  ) throws(MILError) -> [TensorType] {
    var types: [TensorType] = []
    for output in operation.outputs {
      guard let type = output.type.tensor else {
        throw .program(place, expected: "tensors as results", found: "\(output.type)")
      }
      types.append(type)
    }
    return types
  }

  private mutating func constant(
    _ operation: ProgramOperation, _ declared: [TensorType], _ place: Place
  ) throws(MILError) {
    guard operation.inputs.isEmpty, operation.outputs.count == 1,
      let value = operation.attributes["val"]
    else {
      throw .program(place, expected: "one result, a 'val' and no inputs", found: "another form")
    }
    guard value.type == .tensor(declared[0]) else {
      throw .declaration(place, declared: "\(declared[0])", inferred: "\(value.type)")
    }
    let constant = try reader.value(value, place)
    _ = try define(operation.outputs[0].name, declared[0], place, constant)
  }

  private mutating func compressed(
    _ operation: ProgramOperation, _ kind: ConstantOperation, _ declared: [TensorType],
    _ place: Place
  ) throws(MILError) {
    var arguments: [String: RuntimeValue] = [:]
    for (name, value) in operation.attributes where name != "name" {
      arguments[name] = try reader.value(value, place, narrow: true)
    }
    for (name, bindings) in operation.inputs {
      guard bindings.count == 1, arguments[name] == nil else {
        throw .argument(place, name: name, expected: "one value", found: "\(bindings.count)")
      }
      switch bindings[0] {
      case .value(let value): arguments[name] = try reader.value(value, place, narrow: true)
      case .name(let source):
        guard let slot = slots[source], let value = result.constants[slot] else {
          throw .argument(
            place, name: name, expected: "a constant defined earlier", found: "'\(source)'")
        }
        arguments[name] = value
      }
    }
    for name in arguments.keys.sorted() where !kind.parameters.contains(name) {
      throw .argument(
        place, name: name, expected: "one of \(kind.parameters.sorted())", found: "an unknown name")
    }
    let values = try kind.make(ConstantCall(place: place, arguments: arguments))
    _ = try Plan.matched(values.map(\.tensorType), declared, place)
    for (output, value) in zip(operation.outputs, values) {
      if case .packed(let constant) = value.storage { try list(constant.listedPlaces, place) }
      _ = try define(output.name, value.tensorType, place, value)
    }
  }

  private mutating func list(_ places: Int, _ place: Place) throws(MILError) {
    listedPlaces += places
    guard listedPlaces <= Self.mostListedPlaces else {
      throw .tooLarge(
        place, what: "\(listedPlaces) places of rows, columns and products in all operations so far",
        limit: "\(Self.mostListedPlaces)")
    }
  }

  private mutating func step(
    _ operation: ProgramOperation, _ declared: [TensorType], _ place: Place
  ) throws(MILError) {
    let kind = try OperationList.kind(operation.type, place)
    var sources: [String: [Int]] = [:]
    var arguments: [String: [Argument]] = [:]
    for (name, bindings) in operation.inputs.sorted(by: { $0.key < $1.key }) {
      for binding in bindings {
        let slot = try self.slot(binding, name, place)
        sources[name, default: []].append(slot)
        let constant = result.constants[slot]
        if case .packed? = constant?.storage, !types[slot].dataType.isFloat {
          throw .argument(
            place, name: name, expected: "floats or whole numbers",
            found: "\(types[slot]), which only operations on constants take")
        }
        arguments[name, default: []].append(constant.map(Argument.init) ?? Argument(types[slot]))
      }
      if bindings.isEmpty { arguments[name] = [] }
    }
    try kind.check(arguments, place)
    let call = Call(
      place: place, operation: kind.name, arguments: arguments, declared: declared)
    var prepared: (any RunnableOperation)?
    var results = declared
    if call.isReady(for: kind.parameters) {
      let operation = try kind.prepare(call)
      results = try Plan.matched(operation.results, declared, place)
      if let product = operation as? any MatrixProductOperation { try list(3 * product.batch.x.offsets.count, place) }
      prepared = operation
    }
    var outputs: [Int] = []
    for (output, type) in zip(operation.outputs, results) {
      outputs.append(try define(output.name, type, place))
    }
    result.steps.append(
      Plan.Step(
        kind: kind, place: place, arguments: sources, outputs: outputs, declared: declared,
        operation: prepared))
  }

  /// The slot of an argument; a value written in place gets one of its own.
  private mutating func slot(
    _ binding: Binding, _ name: String, _ place: Place
  ) throws(MILError) -> Int {
    switch binding {
    case .name(let source):
      guard let slot = slots[source] else {
        throw .argument(
          place, name: name, expected: "a value defined earlier", found: "'\(source)'")
      }
      return slot
    case .value(let value):
      let constant = try reader.value(value, place)
      types.append(constant.tensorType)
      result.constants.append(constant)
      return types.count - 1
    }
  }

  /// The description that an application reads must be that of the program.
  private func checkInterface() throws(MILError) {
    for (features, ports, kind) in [
      (interface.inputs, result.inputs, "input"), (interface.outputs, result.outputs, "output"),
    ] where !features.isEmpty {
      let described = Set(features.map(\.name))
      let present = Set(ports.map(\.name))
      guard described == present else {
        throw .model(
          package: package.path, expected: "\(kind)s \(present.sorted()) in the description",
          found: "\(described.sorted())")
      }
      for feature in features {
        guard let type = feature.type, let port = ports.first(where: { $0.name == feature.name }),
          !Self.agree(type, port.type)
        else { continue }
        throw .model(
          package: package.path, expected: "\(kind) '\(feature.name)' described as \(port.type)",
          found: "\(type)")
      }
    }
  }

  /// Whether a feature may describe a value: a scalar as one element, an output's shape not at all.
  private static func agree(_ feature: TensorType, _ value: TensorType) -> Bool {
    guard feature.dataType == value.dataType else { return false }
    guard !feature.dimensions.isEmpty else { return true }
    if value.dimensions.isEmpty { return feature.dimensions == [1] }
    return feature.dimensions.count == value.dimensions.count
      && zip(feature.dimensions, value.dimensions).allSatisfy { $0 == nil || $1 == nil || $0 == $1 }
  }

  /// Notes for every step which values nothing reads after it.
  private mutating func releaseEarly() {
    var kept = Set(result.outputs.map(\.slot))
    kept.formUnion(result.constants.indices.filter { result.constants[$0] != nil })
    for index in result.steps.indices.reversed() {
      let step = result.steps[index]
      let used = step.arguments.values.joined() + step.outputs
      let released = Set(used.filter { !kept.contains($0) })
      result.steps[index].released = released.sorted()
      kept.formUnion(released)
    }
  }

  /// Adds up what is alive at once and refuses what this machine cannot hold.
  private mutating func checkMemory() throws(MILError) {
    func bytes(_ slot: Int) -> Int {
      result.constants[slot] != nil
        ? 0 : 4 * (TensorShape.count(types[slot].dimensions.map { $0 ?? 0 }) ?? 0)
    }
    let limit = MemoryLimit.current.bytes / 4 * 3
    var alive = result.inputs.reduce(0) { $0 + bytes($1.slot) }
    let given = Set(result.inputs.map(\.slot))
    for step in result.steps {
      // An input belongs to the caller.
      let overwritten = step.overwritten.map { given.contains($0) ? 0 : bytes($0) } ?? 0
      alive += step.outputs.reduce(-overwritten) { $0 + bytes($1) }
      guard alive <= limit else {
        throw .tooLarge(
          step.place, what: "\(alive) bytes of values at once",
          limit: "\(limit), three quarters of what \(MemoryLimit.current.source) has")
      }
      result.peakBytes = max(result.peakBytes, alive)
      alive -= step.released.reduce(-overwritten) { $0 + bytes($1) }
    }
  }
}

extension Verifier {
  /// The program's constants by name; of what is computed nothing is looked at, nor is what it is made of known here.
  mutating func constants() throws(MILError) -> [String: RuntimeValue] {
    for operation in function.block.operations
    where operation.type == "const" || ConstantOperation.all.contains(where: { $0.name == operation.type }) {
      try check(operation)
    }
    return slots.compactMapValues { result.constants[$0] }
  }
}
