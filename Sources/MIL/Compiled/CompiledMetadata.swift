internal import Foundation
internal import StrictJSON

/// `metadata.json` of a compiled model: what tools and applications read without loading it.
struct CompiledMetadata {
  static let fileName = "metadata.json"

  private let model: Model
  private let description: WireModelDescription
  private let className: String

  /// - Parameter name: of the package, without its ending.
  init(_ model: Model, _ description: WireModelDescription, name: String) {
    self.model = model
    self.description = description
    let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
    className = String(name.map { letters.contains($0) ? $0 : "_" })
  }

  func encoded() -> Data { StrictJSON.array([.object(members)]).encoded() }

  private typealias Member = StrictJSON.Member

  private var members: [StrictJSON.Member] {
    let own = description.functions.first { $0.name == model.defaultFunction }
    var members = schemas(
      own?.input ?? description.input, own?.output ?? description.output, own?.state ?? description.state)
    if let function = model.functions[model.defaultFunction] { members += Self.statistics(function) }
    if let precision = storagePrecision { members.append(Member(key: "storagePrecision", value: .string(precision))) }
    if !description.functions.isEmpty {
      members.append(Member(key: "defaultFunctionName", value: .string(model.defaultFunction)))
      members.append(Member(key: "functions", value: .array(description.functions.map { .object(entry($0)) })))
    }
    let metadata = model.metadata
    for (key, text) in [
      ("shortDescription", metadata.shortDescription), ("author", metadata.author), ("license", metadata.license),
      ("version", metadata.version),
    ] where !text.isEmpty {
      members.append(Member(key: key, value: .string(text)))
    }
    members += [
      Member(key: "availability", value: availability), Member(key: "generatedClassName", value: .string(className)),
      Member(key: "isUpdatable", value: .string("0")), Member(key: "metadataOutputVersion", value: .string("3.0")),
      Member(key: "method", value: .string("predict")), Member(key: "modelParameters", value: .array([])),
      Member(
        key: "modelType", value: .object([Member(key: "name", value: .string("MLModelType_mlProgram"))])),
      Member(key: "specificationVersion", value: .integer(Int(model.specificationVersion))),
      Member(key: "userDefinedMetadata", value: Self.object(metadata.userDefined)),
    ]
    return members.sorted { $0.key < $1.key }
  }

  private static func object(_ texts: [String: String]) -> StrictJSON {
    .object(texts.sorted { $0.key < $1.key }.map { Member(key: $0.key, value: .string($0.value)) })
  }

  private func entry(_ function: WireFunctionDescription) -> [StrictJSON.Member] {
    let statistics = model.functions[function.name].map(Self.statistics) ?? []
    return
      ([Member(key: "name", value: .string(function.name))]
      + schemas(function.input, function.output, function.state) + statistics).sorted { $0.key < $1.key }
  }

  // MARK: Interface

  private func schemas(
    _ inputs: [WireFeatureDescription], _ outputs: [WireFeatureDescription], _ states: [WireFeatureDescription]
  ) -> [StrictJSON.Member] {
    [("inputSchema", inputs), ("outputSchema", outputs), ("stateSchema", states)].map { key, features in
      Member(key: key, value: .array(features.compactMap(Self.schema)))
    }
  }

  /// Every value is a text; nil for what is no array.
  private static func schema(_ feature: WireFeatureDescription) -> StrictJSON? {
    let array: WireArrayFeatureType
    let kind: String
    switch feature.type.type {
    case .multiArrayType(let type)?: (array, kind) = (type, "MultiArray")
    case .stateType(let state)?: (array, kind) = (state.arrayType, "State")
    default: return nil
    }
    let type = DataType(arrayCode: array.dataType).flatMap { precisions[$0] } ?? "?"
    let sizes = array.shape.map(String.init).joined(separator: " × ")
    var schema = [
      "name": feature.name, "shortDescription": feature.shortDescription, "type": kind, "dataType": type,
      "isOptional": feature.type.isOptional ? "1" : "0", "shape": list(array.shape),
      "formattedType": "\(kind) (\(type)\(sizes.isEmpty ? "" : " " + sizes))",
      "hasShapeFlexibility": array.flexibility == nil ? "0" : "1",
    ]
    switch array.flexibility {
    case .shapeRange(let range)?:
      let ranges = range.sizeRanges.map { (Int64(clamping: $0.lowerBound), $0.upperBound) }
      schema["shapeRange"] = "[" + ranges.map { list([$0, $1]) }.joined(separator: ", ") + "]"
      schema["shapeFlexibility"] = ranges.map { $0 == $1 ? "\($0)" : "\($0)...\($1)" }.joined(separator: " × ")
    case .enumeratedShapes(let shapes)?:
      schema["enumeratedShapes"] = "[" + shapes.shapes.map { list($0.shape) }.joined(separator: ", ") + "]"
      schema["shapeFlexibility"] =
        shapes.shapes.map { $0.shape.map(String.init).joined(separator: " × ") }.joined(separator: " | ")
    case nil: break
    }
    return object(schema)
  }

  private static func list(_ numbers: [Int64]) -> String {
    "[" + numbers.map(String.init).joined(separator: ", ") + "]"
  }

  /// The systems that load the model, by specification version.
  private var availability: StrictJSON {
    let versions: (macOS: String, iOS: String, watchOS: String, visionOS: String) =
      switch model.specificationVersion {
      case ...6: ("12.0", "15.0", "8.0", "1.0")
      case 7: ("13.0", "16.0", "9.0", "1.0")
      case 8: ("14.0", "17.0", "10.0", "1.0")
      case 9: ("15.0", "18.0", "11.0", "2.0")
      default: ("26.0", "26.0", "26.0", "26.0")
      }
    return Self.object([
      "macOS": versions.macOS, "iOS": versions.iOS, "tvOS": versions.iOS, "macCatalyst": versions.iOS,
      "watchOS": versions.watchOS, "visionOS": versions.visionOS,
    ])
  }

  // MARK: Statistics

  private static let precisions: [DataType: String] = [
    .float16: "Float16", .float32: "Float32", .float64: "Double", .bfloat16: "BFloat16", .int4: "Int4", .int8: "Int8",
    .int16: "Int16", .int32: "Int32", .int64: "Int64", .uint1: "UInt1", .uint2: "UInt2", .uint3: "UInt3",
    .uint4: "UInt4", .uint6: "UInt6", .uint8: "UInt8", .uint16: "UInt16", .uint32: "UInt32", .uint64: "UInt64",
  ]

  /// Types of all named values, and how often each operation stands in the program.
  private static func statistics(_ function: Function) -> [StrictJSON.Member] {
    let values = function.inputs + function.block.operations.flatMap(\.outputs)
    let types = Set(values.compactMap { $0.type.tensor.flatMap { precisions[$0.dataType] } })
    let set = OperationSetHistory(function.opset)
    let counts = function.block.operations.filter { $0.type != "const" }
      .reduce(into: [:]) { $0[set.name(of: $1.type), default: 0] += 1 }
    return [
      Member(key: "computePrecision", value: .string(mixed(types) ?? "")),
      Member(
        key: "mlProgramOperationTypeHistogram",
        value: .object(counts.sorted { $0.key < $1.key }.map { Member(key: $0.key, value: .integer($0.value)) })),
    ]
  }

  private static func mixed(_ names: Set<String>) -> String? {
    names.count > 1 ? "Mixed (\(names.sorted().joined(separator: ", ")))" : names.first
  }

  /// Types of what lies in the weight file; a palette counts by the bits of its indices. Nil if nothing lies there.
  private var storagePrecision: String? {
    var names: Set<String> = []
    for operation in model.functions.values.flatMap(\.block.operations) {
      let stored = operation.values.filter { if case .blob = $0.content { true } else { false } }
      guard !stored.isEmpty else { continue }
      switch operation.type {
      case "constexpr_lut_to_dense":
        guard let shape = operation.argumentType("lut")?.shape else { continue }
        // Later tables have axes for groups before their entries and one for vectors behind them.
        let entries = shape.count > 1 ? shape[shape.count - 2] : shape.first ?? 1
        names.insert("Palettized (\(max(1, Int.bitWidth - (entries - 1).leadingZeroBitCount)) bits)")
      case "constexpr_sparse_to_dense": names.insert("Sparse")
      case "constexpr_affine_dequantize":
        if let type = operation.argumentType("quantized_data")?.dataType { names.insert(Self.name(type)) }
      default: names.formUnion(stored.compactMap { $0.type.tensor.map { Self.name($0.dataType) } })
      }
    }
    return Self.mixed(names)
  }

  private static func name(_ type: DataType) -> String { precisions[type] ?? "\(type)" }
}

extension ProgramOperation {
  /// Of a value that is written into the operation.
  fileprivate func argumentType(_ name: String) -> TensorType? {
    if case .value(let value)? = inputs[name]?.first { return value.type.tensor }
    return attributes[name]?.type.tensor
  }
}
