/// Reads a program's text; it knows no operations, so that whatever is well formed can be read.
struct ProgramTextReader {
  /// What the text holds.
  struct Program {
    var functions: [String: Function] = [:]
    var attributes: [String: Value] = [:]
    /// Whether the text spells values of rank 0 as specification 9 and later do.
    var hasShortScalars = false
  }

  var scanner: ProgramScanner

  init(_ bytes: [UInt8], file: String) { scanner = ProgramScanner(bytes, file: file) }

  mutating func program() throws(MILError) -> Program {
    var program = Program()
    try scanner.expect(word: "program")
    try scanner.expect("(")
    let place = scanner.place()
    let version = try scanner.number("a version")
    guard version == "1.0" || version == "1.3" else { throw scanner.failure("version 1.0 or 1.3", at: place) }
    program.hasShortScalars = version != "1.0"
    try scanner.expect(")")
    program.attributes = try attributes()
    try scanner.expect("{")
    while !scanner.skips("}") {
      let place = scanner.place()
      let (name, function) = try self.function()
      guard program.functions.updateValue(function, forKey: name) == nil else {
        throw scanner.failure("a new name for each function", at: place)
      }
    }
    guard scanner.isAtEnd() else { throw scanner.failure("nothing after the program") }
    return program
  }

  // MARK: Functions and operations

  private mutating func function() throws(MILError) -> (name: String, function: Function) {
    try scanner.expect(word: "func")
    let name = try scanner.name()
    try scanner.expect("<")
    let place = scanner.place()
    let textName = try scanner.name("an operation set")
    guard let opset = ProgramText.operationSet(textName: textName) else {
      throw scanner.failure("ios15, ios16, ios17, ios18 or ios26", at: place)
    }
    try scanner.expect(">")
    try scanner.expect("(")
    var inputs: [NamedType] = []
    while !scanner.skips(")") {
      if !inputs.isEmpty { try scanner.expect(",") }
      inputs.append(try namedType())
    }
    let attributes = try attributes()
    try scanner.expect("{")
    var operations: [ProgramOperation] = []
    while !scanner.skips("}") { operations.append(try operation()) }
    try scanner.expect("-")
    try scanner.expect(">")
    try scanner.expect("(")
    var outputs: [String] = []
    while !scanner.skips(")") {
      if !outputs.isEmpty { try scanner.expect(",") }
      outputs.append(try scanner.name())
    }
    try scanner.expect(";")
    return (
      name,
      Function(
        inputs: inputs, opset: opset, block: Block(operations: operations, outputs: outputs), attributes: attributes)
    )
  }

  private mutating func namedType() throws(MILError) -> NamedType {
    let type = try type()
    return NamedType(try scanner.name(), type)
  }

  private mutating func operation() throws(MILError) -> ProgramOperation {
    var outputs: [NamedType] = []
    // An operation without results begins with its own name and a bracket.
    let start = scanner
    let first = try scanner.name("an operation")
    let isBare = scanner.next() == UInt8(ascii: "(")
    scanner = start
    if !isBare || ProgramText.typesByName[first] != nil {
      repeat { outputs.append(try namedType()) } while scanner.skips(",")
      try scanner.expect("=")
    }
    let type = try scanner.name("an operation")
    try scanner.expect("(")
    var inputs: [String: [Binding]] = [:]
    while !scanner.skips(")") {
      if !inputs.isEmpty { try scanner.expect(",") }
      let place = scanner.place()
      let name = try scanner.name("an argument")
      try scanner.expect("=")
      guard inputs.updateValue(try bindings(), forKey: name) == nil else {
        throw scanner.failure("each argument once", at: place)
      }
    }
    let attributes = try attributes()
    guard scanner.next() != UInt8(ascii: "{") else {
      throw scanner.failure("';': operations with blocks, such as loops, are not read")
    }
    try scanner.expect(";")
    return ProgramOperation(type, inputs: inputs, outputs: outputs, attributes: attributes)
  }

  private mutating func bindings() throws(MILError) -> [Binding] {
    guard scanner.skips("(") else { return [try binding()] }
    var bindings: [Binding] = []
    while !scanner.skips(")") {
      if !bindings.isEmpty { try scanner.expect(",") }
      bindings.append(try binding())
    }
    return bindings
  }

  private mutating func binding() throws(MILError) -> Binding {
    let start = scanner
    let name = try scanner.name("a name or a value")
    let follows = scanner.next()
    let isType =
      ["tensor", "list", "tuple", "dict"].contains(name)
      ? follows == UInt8(ascii: "<") : ProgramText.typesByName[name] != nil
    guard isType, follows == UInt8(ascii: "<") || follows == UInt8(ascii: "(") else { return .name(name) }
    scanner = start
    return .value(try value())
  }

  /// `[name = value, …]`, or nothing.
  private mutating func attributes() throws(MILError) -> [String: Value] {
    var attributes: [String: Value] = [:]
    guard scanner.skips("[") else { return attributes }
    while !scanner.skips("]") {
      if !attributes.isEmpty { try scanner.expect(",") }
      let place = scanner.place()
      let name = try scanner.name("an attribute")
      try scanner.expect("=")
      guard attributes.updateValue(try value(), forKey: name) == nil else {
        throw scanner.failure("each attribute once", at: place)
      }
    }
    return attributes
  }

  // MARK: Types

  mutating func type(depth: Int = 0) throws(MILError) -> ValueType {
    let place = scanner.place()
    guard depth < ProgramText.deepest else { throw scanner.failure("a type of fewer levels") }
    let name = try scanner.name("a type")
    if let scalar = ProgramText.typesByName[name] { return .tensor(TensorType(scalar, [])) }
    try scanner.expect("<")
    let type: ValueType
    switch name {
    case "tensor": type = .tensor(try tensor())
    case "list":
      let element = try self.type(depth: depth + 1)
      try scanner.expect(",")
      type = .list(element, length: try dimension())
    case "tuple":
      var elements: [ValueType] = []
      repeat { elements.append(try self.type(depth: depth + 1)) } while scanner.skips(",")
      type = .tuple(elements)
    case "dict":
      let key = try self.type(depth: depth + 1)
      try scanner.expect(",")
      type = .dictionary(key: key, value: try self.type(depth: depth + 1))
    case "state": type = .state(try self.type(depth: depth + 1))
    default: throw scanner.failure("a type", at: place)
    }
    try scanner.expect(">")
    return type
  }

  private mutating func tensor() throws(MILError) -> TensorType {
    let place = scanner.place()
    guard let dataType = ProgramText.typesByName[try scanner.name("a type of elements")] else {
      throw scanner.failure("a type of elements", at: place)
    }
    try scanner.expect(",")
    try scanner.expect("[")
    var dimensions: [Int?] = []
    while !scanner.skips("]") {
      if !dimensions.isEmpty { try scanner.expect(",") }
      dimensions.append(try dimension())
    }
    guard dimensions.count <= ProgramText.deepest else {
      throw scanner.failure("a tensor of at most \(ProgramText.deepest) axes", at: place)
    }
    guard TensorShape.count(dimensions.map { $0 ?? 1 }) != nil else {
      throw scanner.failure("a tensor of at most \(TensorShape.limit) elements", at: place)
    }
    return TensorType(dataType, dimensions)
  }

  private mutating func dimension() throws(MILError) -> Int? {
    if scanner.skips("?") { return nil }
    let place = scanner.place()
    guard let size = Int(try scanner.number("a size or ?")), (0...TensorShape.limit).contains(size) else {
      throw scanner.failure("a size from 0 to \(TensorShape.limit)", at: place)
    }
    return size
  }
}
