internal import Foundation

/// Writes a program as text, as Apple's compiler writes it: maps sorted by name, everything else in the program's order.
struct ProgramTextWriter {
  private let dialect: ProgramText.Dialect
  /// Path of the model, for errors.
  private let origin: String
  private var text = ""

  init(_ dialect: ProgramText.Dialect, origin: String) {
    self.dialect = dialect
    self.origin = origin
  }

  /// The whole text.
  ///
  /// - Parameters:
  ///   - compiler: what `buildInfo` says of who compiled it, beside what the program's own says.
  ///   - ranges: of the inputs of each function, where sizes vary.
  static func text(
    of model: Model, compiler: [String: String], ranges: [String: [FlexibleInput]], origin: String
  ) throws(MILError) -> String {
    var writer = ProgramTextWriter(
      ProgramText.Dialect(specificationVersion: model.specificationVersion), origin: origin)
    try writer.write(model, compiler: compiler, ranges: ranges)
    return writer.text
  }

  private mutating func write(
    _ model: Model, compiler: [String: String], ranges: [String: [FlexibleInput]]
  ) throws(MILError) {
    text = "program(\(dialect.version))\n"
    var attributes = model.attributes
    attributes["buildInfo"] = Self.buildInfo(model.attributes["buildInfo"], compiler)
    try write(attributes: attributes)
    text += "\n{\n"
    for (name, function) in model.functions.sorted(by: { $0.key < $1.key }) {
      try write(function, name: name, ranges: ranges[name] ?? [])
    }
    text += "}"
  }

  /// The program's own entries and the compiler's, by key.
  private static func buildInfo(_ own: Value?, _ compiler: [String: String]) -> Value {
    var entries: [String: String] = [:]
    if case .dictionary(let pairs)? = own?.content {
      for pair in pairs {
        if case .strings(let key) = pair.key.content, case .strings(let value) = pair.value.content,
          key.count == 1, value.count == 1
        {
          entries[key[0]] = value[0]
        }
      }
    }
    entries.merge(compiler) { $1 }
    let string = ValueType.tensor(TensorType(.string, []))
    return Value(
      .dictionary(key: string, value: string),
      .dictionary(entries.sorted { $0.key < $1.key }.map { Value.Entry(Value($0.key), Value($0.value)) }))
  }

  // MARK: Functions and operations

  private mutating func write(
    _ function: Function, name: String, ranges: [FlexibleInput]
  ) throws(MILError) {
    guard let opset = ProgramText.textName(ofOperationSet: function.opset) else {
      throw unwritable("operation set '\(function.opset)', as function '\(name)' has")
    }
    text += "    func \(try checked(name))<\(opset)>("
    text += try function.inputs.sorted { $0.name < $1.name }.map { (input) throws(MILError) in try named(input) }
      .joined(separator: ", ")
    text += ")"
    var attributes = function.attributes
    attributes[ProgramText.flexibleShapes] = FlexibleInput.attribute(ranges)
    if !attributes.isEmpty {
      text += " "
      try write(attributes: attributes)
    }
    text += " {\n"
    for operation in function.block.operations { try write(operation) }
    text += "        } -> ("
    text += try function.block.outputs.map { (name) throws(MILError) in try checked(name) }.joined(separator: ", ")
    text += ");\n"
  }

  private mutating func write(_ operation: ProgramOperation) throws(MILError) {
    guard operation.blockCount == 0 else {
      throw unwritable("operations with blocks, whose form nobody has seen, such as '\(operation.type)'")
    }
    text += "            "
    for (index, output) in operation.outputs.enumerated() {
      text += (index > 0 ? ", " : "") + (try named(output))
    }
    if !operation.outputs.isEmpty { text += " = " }
    text += try checked(operation.type) + "("
    for (index, (name, bindings)) in operation.inputs.sorted(by: { $0.key < $1.key }).enumerated() {
      text += (index > 0 ? ", " : "") + (try checked(name)) + " = "
      let isSeveral = bindings.count != 1 || name == "values"
      if isSeveral { text += "(" }
      for (index, binding) in bindings.enumerated() {
        if index > 0 { text += ", " }
        switch binding {
        case .name(let source): text += try checked(source)
        case .value(let value): try write(value)
        }
      }
      if isSeveral { text += ")" }
    }
    text += ")"
    if !operation.attributes.isEmpty { try write(attributes: operation.attributes) }
    text += ";\n"
  }

  private mutating func write(attributes: [String: Value]) throws(MILError) {
    text += "["
    for (index, (name, value)) in attributes.sorted(by: { $0.key < $1.key }).enumerated() {
      text += (index > 0 ? ", " : "") + (try checked(name)) + " = "
      try write(value)
    }
    text += "]"
  }

  private func named(_ value: NamedType) throws(MILError) -> String {
    try type(value.type) + " " + checked(value.name)
  }

  private func checked(_ name: String) throws(MILError) -> String {
    guard ProgramScanner.isName(name) else {
      throw unwritable("names such as '\(name.prefix(80))': they are letters, digits and underscores")
    }
    return name
  }

  private func unwritable(_ what: String) -> MILError {
    .file(path: origin, reason: "cannot be compiled: the text of a program has no \(what)")
  }

  // MARK: Types and values

  private func type(_ type: ValueType) throws(MILError) -> String {
    switch type {
    case .tensor(let tensor):
      if dialect.hasShortScalars, tensor.dimensions.isEmpty { return "\(tensor.dataType)" }
      return "tensor<\(tensor.dataType), [\(tensor.dimensions.map(Self.size).joined(separator: ", "))]>"
    case .list(let element, let length): return "list<\(try self.type(element)), \(Self.size(length))>"
    case .tuple(let elements):
      return
        "tuple<\(try elements.map { (element) throws(MILError) in try self.type(element) }.joined(separator: ", "))>"
    case .dictionary(let key, let value): return "dict<\(try self.type(key)), \(try self.type(value))>"
    case .state(let wrapped): return "state<\(try self.type(wrapped))>"
    case .unknown: throw unwritable("values without a type")
    }
  }

  private static func size(_ size: Int?) -> String { size.map(String.init) ?? "?" }

  private mutating func write(_ value: Value) throws(MILError) {
    text += try type(value.type) + "("
    if case .blob(let file, let offset) = value.content {
      text += "BLOBFILE(path = "
      try write(Value(file))
      text += ", offset = \(try type(.tensor(TensorType(.uint64, []))))(\(offset)))"
    } else {
      try write(literal: value)
    }
    text += ")"
  }

  private mutating func write(literal value: Value) throws(MILError) {
    switch value.content {
    case .list(let values): try write(values, "[", "]")
    case .tuple(let values): try write(values, "(", ")")
    case .dictionary(let entries):
      text += "{"
      for (index, entry) in entries.enumerated() {
        if index > 0 { text += ", " }
        try write([entry.key, entry.value], "{", "}")
      }
      text += "}"
    case .blob: throw unwritable("records of weight files inside of other values")
    default:
      guard case .tensor(let tensor) = value.type else { throw unwritable("elements of \(value.type)") }
      let elements = try LiteralText(value.content, tensor, origin: origin)
      var next = 0
      write(elements, elements.shape[...], &next)
    }
  }

  private mutating func write(_ values: [Value], _ open: String, _ close: String) throws(MILError) {
    text += open
    for (index, value) in values.enumerated() {
      if index > 0 { text += ", " }
      try write(literal: value)
    }
    text += close
  }

  private mutating func write(_ elements: LiteralText, _ shape: ArraySlice<Int>, _ next: inout Int) {
    guard let size = shape.first else {
      text += elements[next]
      next += 1
      return
    }
    text += "["
    for index in 0..<size {
      if index > 0 { text += ", " }
      write(elements, shape.dropFirst(), &next)
    }
    text += "]"
  }
}
