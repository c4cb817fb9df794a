/// An input whose sizes an application may choose.
struct FlexibleInput {
  let name: String
  let defaultShape: [Int64]
  /// Least and most of each size; -1 for no limit.
  let ranges: [(least: Int64, most: Int64)]

  /// Of the described inputs those with ranges.
  static func list(_ features: [WireFeatureDescription]) -> [FlexibleInput] {
    features.compactMap { feature in
      guard case .multiArrayType(let array)? = feature.type.type,
        case .shapeRange(let range)? = array.flexibility
      else { return nil }
      let ranges = range.sizeRanges.map { (least: Int64(clamping: $0.lowerBound), most: $0.upperBound) }
      return FlexibleInput(
        name: feature.name, defaultShape: array.shape.isEmpty ? ranges.map(\.least) : array.shape, ranges: ranges)
    }.sorted { $0.name < $1.name }
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
