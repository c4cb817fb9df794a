internal import Foundation

extension Model {
  /// Reads a decoded message.
  ///
  /// - Parameter package: path for errors.
  init(_ message: WireModel, package: String) throws(MILError) {
    guard case .mlProgram(let program)? = message.type else {
      let found =
        switch message.type {
        case .neuralNetwork?: "a neural network, the older form"
        case .pipeline?: "a pipeline"
        default: "none"
        }
      throw .model(package: package, expected: "an ML Program", found: found)
    }
    guard program.version == 1 else {
      throw .model(package: package, expected: "program version 1", found: "\(program.version)")
    }
    var functions: [String: Function] = [:]
    for (name, function) in program.functions.sorted(by: { $0.key < $1.key }) {
      functions[name] = try Function(function, name: name, package: package)
    }
    let attributes = try ProgramReader(package: package).values(program.attributes, in: "program")
    try self.init(
      message.description_p, specificationVersion: message.specificationVersion, functions: functions,
      attributes: attributes, package: package)
  }

  /// Puts what an application is told and the program together.
  init(
    _ description: WireModelDescription, specificationVersion: Int32, functions: [String: Function],
    attributes: [String: Value], package: String
  ) throws(MILError) {
    guard (1...1000).contains(specificationVersion) else {
      throw .model(
        package: package, expected: "a specification version from 1", found: "\(specificationVersion)")
    }
    let defaultFunction =
      description.defaultFunctionName.isEmpty ? "main" : description.defaultFunctionName
    let interface = description.functions.first { $0.name == defaultFunction }
    var further: [String: Interface] = [:]
    for interface in description.functions where interface.name != defaultFunction {
      further[interface.name] = Interface(
        inputs: try Feature.list(interface.input, package: package),
        outputs: try Feature.list(interface.output, package: package))
    }
    self.init(
      specificationVersion: specificationVersion,
      inputs: try Feature.list(interface?.input ?? description.input, package: package),
      outputs: try Feature.list(interface?.output ?? description.output, package: package),
      metadata: Metadata(description.metadata), functions: functions, attributes: attributes,
      defaultFunction: defaultFunction, furtherInterfaces: further)
  }
}

extension Feature {
  static func list(
    _ messages: [WireFeatureDescription], package: String
  ) throws(MILError) -> [Feature] {
    var features: [Feature] = []
    for message in messages {
      var type: TensorType?
      if case .multiArrayType(let array)? = message.type.type {
        guard let dataType = DataType(arrayCode: array.dataType) else {
          throw .model(
            package: package, expected: "a known type of feature '\(message.name)'",
            found: "\(array.dataType)")
        }
        type = TensorType(dataType, array.shape.map { $0 < 0 ? nil : Int($0) })
      }
      features.append(
        Feature(
          message.name, type, shortDescription: message.shortDescription,
          isOptional: message.type.isOptional))
    }
    return features
  }
}

extension DataType {
  /// From the number that a feature description uses.
  init?(arrayCode: Int32) {
    switch arrayCode {
    case 65552: self = .float16
    case 65568: self = .float32
    case 65600: self = .float64
    case 131104: self = .int32
    case 131080: self = .int8
    default: return nil
    }
  }
}

extension Metadata {
  init(_ message: WireMetadata) {
    self.init()
    shortDescription = message.shortDescription
    version = message.versionString
    author = message.author
    license = message.license
    userDefined = message.userDefined
  }
}

extension Function {
  init(_ message: WireFunction, name: String, package: String) throws(MILError) {
    guard let block = message.blockSpecializations[message.opset] else {
      throw .model(
        package: package, expected: "a block for '\(message.opset)' in function '\(name)'",
        found: "blocks for \(message.blockSpecializations.keys.sorted())")
    }
    guard block.inputs.isEmpty else {
      throw .model(
        package: package, expected: "no inputs on the block of function '\(name)'",
        found: "\(block.inputs.count)")
    }
    let reader = ProgramReader(package: package)
    var inputs: [NamedType] = []
    for input in message.inputs {
      inputs.append(
        try reader.named(input, Place(package: package, operation: "input", name: name)))
    }
    var operations: [ProgramOperation] = []
    operations.reserveCapacity(block.operations.count)
    for operation in block.operations { operations.append(try reader.operation(operation)) }
    self.init(
      inputs: inputs, opset: message.opset,
      block: Block(operations: operations, outputs: block.outputs),
      attributes: try reader.values(message.attributes, in: "function '\(name)'"))
  }
}

/// Turns messages into program parts, refusing what cannot be represented.
struct ProgramReader {
  let package: String

  /// Axes of a tensor, far more than any program has.
  private static let mostAxes = 64

  func values(_ messages: [String: WireValue], in what: String) throws(MILError) -> [String: Value] {
    var values: [String: Value] = [:]
    for (name, message) in messages {
      values[name] = try value(message, Place(package: package, operation: "attribute of the \(what)", name: name))
    }
    return values
  }

  func operation(_ message: WireOperation) throws(MILError) -> ProgramOperation {
    let place = Place(
      package: package, operation: message.type, name: message.outputs.first?.name ?? "")
    var inputs: [String: [Binding]] = [:]
    for (name, argument) in message.inputs {
      var bindings: [Binding] = []
      for binding in argument.arguments {
        switch binding.binding {
        case .name(let source)?: bindings.append(.name(source))
        case .value(let value)?: bindings.append(.value(try self.value(value, place)))
        case nil:
          throw .argument(place, name: name, expected: "a name or a value", found: "nothing")
        }
      }
      inputs[name] = bindings
    }
    var outputs: [NamedType] = []
    for output in message.outputs { outputs.append(try named(output, place)) }
    var attributes: [String: Value] = [:]
    for (name, value) in message.attributes { attributes[name] = try self.value(value, place) }
    return ProgramOperation(
      message.type, inputs: inputs, outputs: outputs, attributes: attributes,
      blockCount: message.blocks.count)
  }

  func named(_ message: WireNamedValueType, _ place: Place) throws(MILError) -> NamedType {
    NamedType(message.name, try type(message.type, place))
  }

  func type(_ message: WireValueType, _ place: Place) throws(MILError) -> ValueType {
    switch message.type {
    case .tensorType(let tensor)?: return .tensor(try self.tensor(tensor, place))
    case .listType(let list)?:
      return .list(try type(list.type, place), length: list.hasLength ? try dimension(list.length, place) : nil)
    case .tupleType(let tuple)?:
      var types: [ValueType] = []
      for element in tuple.types { types.append(try type(element, place)) }
      return .tuple(types)
    case .dictionaryType(let dictionary)?:
      return .dictionary(key: try type(dictionary.keyType, place), value: try type(dictionary.valueType, place))
    case .stateType(let state)?: return .state(try type(state.wrappedType, place))
    case nil: return .unknown
    }
  }

  private func tensor(_ message: WireTensorType, _ place: Place) throws(MILError) -> TensorType {
    guard let dataType = DataType(rawValue: message.dataType) else {
      throw .program(place, expected: "a known data type", found: "number \(message.dataType)")
    }
    guard message.rank == message.dimensions.count else {
      throw .program(
        place, expected: "as many dimensions as the rank, \(message.rank)",
        found: "\(message.dimensions.count)")
    }
    guard message.rank <= Self.mostAxes else {
      throw .tooLarge(place, what: "a tensor of \(message.rank) axes", limit: "\(Self.mostAxes)")
    }
    var dimensions: [Int?] = []
    for size in message.dimensions { dimensions.append(try dimension(size, place)) }
    guard TensorShape.count(dimensions.map { $0 ?? 1 }) != nil else {
      throw .tooLarge(place, what: "a tensor of \(dimensions)", limit: "\(TensorShape.limit) elements")
    }
    return TensorType(dataType, dimensions)
  }

  private func dimension(_ message: WireDimension, _ place: Place) throws(MILError) -> Int? {
    switch message.dimension {
    case .constant(let constant)?:
      guard constant.size <= UInt64(TensorShape.limit) else {
        throw .tooLarge(place, what: "dimension \(constant.size)", limit: "\(TensorShape.limit)")
      }
      return Int(constant.size)
    case .unknown?: return nil
    case nil: throw .program(place, expected: "a dimension", found: "nothing")
    }
  }

  func value(_ message: WireValue, _ place: Place) throws(MILError) -> Value {
    let type = try type(message.type, place)
    switch message.value {
    case .blobFileValue(let blob)?:
      return Value(type, .blob(file: blob.fileName, offset: blob.offset))
    case .immediateValue(let immediate)?:
      switch immediate.value {
      case .tensor(let tensor)?: return Value(type, try elements(tensor, place))
      case .list(let list)?:
        var values: [Value] = []
        for value in list.values { values.append(try self.value(value, place)) }
        return Value(type, .list(values))
      case .tuple(let tuple)?:
        var values: [Value] = []
        for value in tuple.values { values.append(try self.value(value, place)) }
        return Value(type, .tuple(values))
      case .dictionary(let dictionary)?:
        var entries: [Value.Entry] = []
        for pair in dictionary.values {
          entries.append(Value.Entry(try value(pair.key, place), try value(pair.value, place)))
        }
        return Value(type, .dictionary(entries))
      case nil: throw .program(place, expected: "elements", found: "none")
      }
    case nil: throw .program(place, expected: "a value", found: "nothing")
    }
  }

  private func elements(
    _ message: WireTensorValue, _ place: Place
  ) throws(MILError) -> Value.Content {
    switch message.value {
    case .floats(let list)?: .floats(list.values)
    case .ints(let list)?: .ints(list.values)
    case .bools(let list)?: .bools(list.values)
    case .strings(let list)?: .strings(list.values)
    case .longInts(let list)?: .longInts(list.values)
    case .doubles(let list)?: .doubles(list.values)
    case .bytes(let list)?: .bytes(list.values)
    case nil: throw .program(place, expected: "elements", found: "none")
    }
  }
}
