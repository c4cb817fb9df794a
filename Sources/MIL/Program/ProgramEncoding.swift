extension WireModel {
  init(_ model: Model) {
    self.init()
    specificationVersion = model.specificationVersion
    if model.functions.count > 1 {
      description_p.functions = model.functions.keys.sorted().map { name in
        let interface = model.interface(of: name)
        var function = WireFunctionDescription()
        function.name = name
        function.input = interface.inputs.map(WireFeatureDescription.init)
        function.output = interface.outputs.map(WireFeatureDescription.init)
        return function
      }
      description_p.defaultFunctionName = model.defaultFunction
    } else {
      description_p.input = model.inputs.map(WireFeatureDescription.init)
      description_p.output = model.outputs.map(WireFeatureDescription.init)
    }
    description_p.metadata.shortDescription = model.metadata.shortDescription
    description_p.metadata.versionString = model.metadata.version
    description_p.metadata.author = model.metadata.author
    description_p.metadata.license = model.metadata.license
    description_p.metadata.userDefined = model.metadata.userDefined
    mlProgram.version = 1
    mlProgram.functions = model.functions.mapValues(WireFunction.init)
    mlProgram.attributes = model.attributes.mapValues(WireValue.init)
  }
}

extension WireFeatureDescription {
  init(_ feature: Feature) {
    self.init()
    name = feature.name
    shortDescription = feature.shortDescription
    type.isOptional = feature.isOptional
    guard let tensor = feature.type else { return }
    guard let code = tensor.dataType.arrayCode else {
      preconditionFailure("feature \(feature.name): an application cannot see \(tensor.dataType)")
    }
    type.multiArrayType.dataType = code
    // A scalar is an array of one element to an application.
    type.multiArrayType.shape =
      tensor.dimensions.isEmpty ? [1] : tensor.dimensions.map { Int64($0 ?? -1) }
  }
}

extension DataType {
  /// The number that a feature description uses.
  var arrayCode: Int32? {
    switch self {
    case .float16: 65552
    case .float32: 65568
    case .float64: 65600
    case .int32: 131104
    case .int8: 131080
    default: nil
    }
  }
}

extension WireFunction {
  init(_ function: Function) {
    self.init()
    inputs = function.inputs.map(WireNamedValueType.init)
    opset = function.opset
    attributes = function.attributes.mapValues(WireValue.init)
    var block = WireBlock()
    block.outputs = function.block.outputs
    block.operations = function.block.operations.map(WireOperation.init)
    blockSpecializations = [function.opset: block]
  }
}

extension WireOperation {
  init(_ operation: ProgramOperation) {
    precondition(operation.blockCount == 0, "\(operation.type): nested blocks are not written")
    self.init()
    type = operation.type
    inputs = operation.inputs.mapValues { bindings in
      var argument = WireArgument()
      argument.arguments = bindings.map { binding in
        var message = WireBinding()
        switch binding {
        case .name(let name): message.name = name
        case .value(let value): message.value = WireValue(value)
        }
        return message
      }
      return argument
    }
    outputs = operation.outputs.map(WireNamedValueType.init)
    attributes = operation.attributes.mapValues(WireValue.init)
  }
}

extension WireNamedValueType {
  init(_ value: NamedType) {
    self.init()
    name = value.name
    type = WireValueType(value.type)
  }
}

extension WireValueType {
  init(_ type: ValueType) {
    self.init()
    switch type {
    case .tensor(let tensor):
      tensorType.dataType = tensor.dataType.rawValue
      tensorType.rank = Int64(tensor.dimensions.count)
      tensorType.dimensions = tensor.dimensions.map(WireDimension.init)
    case .list(let element, let length):
      listType.type = WireValueType(element)
      listType.length = WireDimension(length)
    case .tuple(let elements): tupleType.types = elements.map(WireValueType.init)
    case .dictionary(let key, let value):
      dictionaryType.keyType = WireValueType(key)
      dictionaryType.valueType = WireValueType(value)
    case .state(let wrapped): stateType.wrappedType = WireValueType(wrapped)
    case .unknown: break
    }
  }
}

extension WireDimension {
  init(_ size: Int?) {
    self.init()
    if let size {
      constant.size = UInt64(size)
    } else {
      unknown.variadic = false
    }
  }
}

extension WireValue {
  init(_ value: Value) {
    self.init()
    type = WireValueType(value.type)
    switch value.content {
    case .floats(let values): immediateValue.tensor.floats.values = values
    case .doubles(let values): immediateValue.tensor.doubles.values = values
    case .ints(let values): immediateValue.tensor.ints.values = values
    case .longInts(let values): immediateValue.tensor.longInts.values = values
    case .bools(let values): immediateValue.tensor.bools.values = values
    case .strings(let values): immediateValue.tensor.strings.values = values
    case .bytes(let values): immediateValue.tensor.bytes.values = values
    case .list(let values): immediateValue.list.values = values.map(WireValue.init)
    case .tuple(let values): immediateValue.tuple.values = values.map(WireValue.init)
    case .dictionary(let entries):
      immediateValue.dictionary.values = entries.map { entry in
        var pair = WireKeyValuePair()
        pair.key = WireValue(entry.key)
        pair.value = WireValue(entry.value)
        return pair
      }
    case .blob(let file, let offset):
      blobFileValue.fileName = file
      blobFileValue.offset = offset
    }
  }
}
