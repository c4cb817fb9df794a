/// An input whose sizes an application may choose.
struct FlexibleInput {
  let name: String
  let defaultShape: [Int64]
  /// Least and most of each size.
  let ranges: [(least: Int64, most: Int64)]

  /// Of the described inputs those with ranges.
  ///
  /// - Parameter package: path, for errors.
  /// - Throws: of kinds of inputs and sizes whose form in compiled models nobody has seen.
  static func list(_ features: [WireFeatureDescription], package: String) throws(MILError) -> [FlexibleInput] {
    func refuse(_ feature: WireFeatureDescription, _ expected: String, _ found: String) -> MILError {
      .file(
        path: package,
        reason: "expected \(expected) of '\(feature.name)', found \(found), whose form in compiled models nobody has "
          + "published; convert it with one shape or ranges")
    }
    var inputs: [FlexibleInput] = []
    for feature in features {
      if case .imageType? = feature.type.type { throw refuse(feature, "an array", "a picture") }
      guard case .multiArrayType(let array)? = feature.type.type else { continue }
      switch array.flexibility {
      case .enumeratedShapes?: throw refuse(feature, "one shape or ranges", "a list of shapes")
      case .shapeRange(let range)?:
        let ranges = range.sizeRanges.map { (least: Int64(clamping: $0.lowerBound), most: $0.upperBound) }
        guard ranges.allSatisfy({ $0.most >= $0.least }) else { throw refuse(feature, "sizes with a limit", "none") }
        inputs.append(
          FlexibleInput(
            name: feature.name, defaultShape: array.shape.isEmpty ? ranges.map(\.least) : array.shape, ranges: ranges))
      case nil: break
      }
    }
    return inputs.sorted { $0.name < $1.name }
  }

  /// What a function says of its flexible inputs; nil if it has none.
  static func attribute(_ inputs: [FlexibleInput]) -> Value? {
    guard !inputs.isEmpty else { return nil }
    let string = ValueType.tensor(TensorType(.string, []))
    func numbers(_ numbers: [Int64], _ size: Int?) -> Value {
      Value(.tensor(TensorType(.int32, [size])), .ints(numbers.map { Int32(clamping: $0) }))
    }
    func dictionary(_ type: ValueType, _ value: (FlexibleInput) -> Value) -> Value {
      Value(
        .dictionary(key: string, value: type), .dictionary(inputs.map { Value.Entry(Value($0.name), value($0)) }))
    }
    let shape = ValueType.tensor(TensorType(.int32, [nil]))
    let pair = ValueType.tensor(TensorType(.int32, [2]))
    let ranges = ValueType.list(pair, length: nil)
    let defaults = dictionary(shape) { numbers($0.defaultShape, nil) }
    let limits = dictionary(ranges) { input in
      Value(ranges, .list(input.ranges.map { numbers([$0.least, $0.most], 2) }))
    }
    func named(_ name: String, _ value: Value) -> Value {
      Value(.tuple([string, value.type]), .tuple([Value(name), value]))
    }
    let parts = [named("DefaultShapes", defaults), named("RangeDims", limits)]
    return Value(.tuple(parts.map(\.type)), .tuple(parts))
  }
}

extension WireModelDescription {
  /// Inputs that are described of a function.
  func features(of function: String) -> [WireFeatureDescription] {
    functions.first { $0.name == function }?.input ?? input
  }
}
