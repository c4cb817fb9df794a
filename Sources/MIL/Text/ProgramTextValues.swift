extension ProgramTextReader {
  mutating func value() throws(MILError) -> Value {
    let type = try type()
    try scanner.expect("(")
    let start = scanner
    if scanner.next() == UInt8(ascii: "B"), try scanner.name() == "BLOBFILE" {
      let content = try record()
      try scanner.expect(")")
      return Value(type, content)
    }
    scanner = start
    let value = try literal(type)
    try scanner.expect(")")
    return value
  }

  /// `(path = …, offset = …)`
  private mutating func record() throws(MILError) -> Value.Content {
    try scanner.expect("(")
    guard case .strings(let paths) = try scalar("path", .string).content else { throw scanner.failure("a path") }
    try scanner.expect(",")
    guard case .longInts(let offsets) = try scalar("offset", .uint64).content else {
      throw scanner.failure("an offset")
    }
    try scanner.expect(")")
    return .blob(file: paths[0], offset: UInt64(bitPattern: offsets[0]))
  }

  /// `name = type(literal)` of rank 0.
  private mutating func scalar(_ name: String, _ dataType: DataType) throws(MILError) -> Value {
    try scanner.expect(word: name)
    try scanner.expect("=")
    let place = scanner.place()
    let type = try type()
    guard type == .tensor(TensorType(dataType, [])) else { throw scanner.failure("a \(dataType)", at: place) }
    try scanner.expect("(")
    let value = try literal(type)
    try scanner.expect(")")
    return value
  }

  private mutating func literal(_ type: ValueType) throws(MILError) -> Value {
    switch type {
    case .tensor(let tensor):
      var elements = LiteralElements(tensor.dataType)
      try nest(tensor.dimensions[...], into: &elements)
      return Value(type, elements.content)
    case .list(let element, let length):
      let place = scanner.place()
      try scanner.expect("[")
      var values: [Value] = []
      while !scanner.skips("]") {
        if !values.isEmpty { try scanner.expect(",") }
        values.append(try literal(element))
      }
      guard length == nil || length == values.count else {
        throw scanner.failure("\(length ?? 0) elements, not \(values.count)", at: place)
      }
      return Value(type, .list(values))
    case .tuple(let types):
      try scanner.expect("(")
      var values: [Value] = []
      for element in types {
        if !values.isEmpty { try scanner.expect(",") }
        values.append(try literal(element))
      }
      try scanner.expect(")")
      return Value(type, .tuple(values))
    case .dictionary(let key, let value):
      try scanner.expect("{")
      var entries: [Value.Entry] = []
      while !scanner.skips("}") {
        if !entries.isEmpty { try scanner.expect(",") }
        try scanner.expect("{")
        let name = try literal(key)
        try scanner.expect(",")
        entries.append(Value.Entry(name, try literal(value)))
        try scanner.expect("}")
      }
      return Value(type, .dictionary(entries))
    case .state, .unknown: throw scanner.failure("a value of a type that has values")
    }
  }

  /// Brackets, one level for each dimension.
  private mutating func nest(_ dimensions: ArraySlice<Int?>, into elements: inout LiteralElements) throws(MILError) {
    guard let size = dimensions.first else { return try elements.read(&scanner) }
    let place = scanner.place()
    try scanner.expect("[")
    var count = 0
    while !scanner.skips("]") {
      if count > 0 { try scanner.expect(",") }
      try nest(dimensions.dropFirst(), into: &elements)
      count += 1
    }
    guard size == nil || size == count else {
      throw scanner.failure("\(size ?? 0) elements, not \(count)", at: place)
    }
  }
}
