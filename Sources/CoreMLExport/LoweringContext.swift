internal import Clustering
internal import Foundation
internal import Kernels
internal import MIL

/// What a package is written for.
package struct ExportOptions: Sendable {
  package enum AttentionForm: Sendable { case original, splitEinsum }

  package var target: DeploymentTarget
  package var attention: AttentionForm

  package init(target: DeploymentTarget, attention: AttentionForm) {
    self.target = target
    self.attention = attention
  }
}

/// A MIL program in the making: lowerings append operations to it and get the names of their results.
///
/// Values are half precision throughout, images `[batch, channels, height, width]` and sequences
/// `[batch, features, 1, tokens]`, as Apple's converter has them.
struct LoweringContext {
  /// An argument of an operation: a value, several, or a constant that becomes an operation of its own.
  enum Argument {
    case value(String)
    case values([String])
    case half([Float], shape: [Int])
    case halfScalar(Float)
    case floatScalar(Float)
    case int(Int)
    case ints([Int])
    case bool(Bool)
    case bools([Bool])
    case text(String)
  }

  let options: ExportOptions
  let weights: HardWeights
  private let file: WeightFileWriter
  private(set) var operations: [ProgramOperation] = []
  private var used: Set<String> = []
  private var constants: [String: String] = [:]

  init(options: ExportOptions, weights: HardWeights, file: WeightFileWriter) {
    self.options = options
    self.weights = weights
    self.file = file
  }

  /// A name that nothing else has, made of identifier characters.
  mutating func name(_ wanted: String) -> String {
    let plain = String(
      wanted.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" })
    let base = plain.first?.isNumber ?? true ? "_" + plain : plain
    var name = base
    var index = 0
    while !used.insert(name).inserted {
      index += 1
      name = "\(base)_\(index)"
    }
    return name
  }

  /// Keeps a name from being given away: those of the function's inputs.
  mutating func reserve(_ name: String) { used.insert(name) }

  /// Appends an operation with one result of half precision.
  ///
  /// - Returns: the result's name.
  mutating func emit(
    _ type: String, _ wanted: String, _ arguments: [(String, Argument)], shape: [Int],
    dataType: DataType = .float16
  ) throws(MILError) -> String {
    try emit(type, wanted, arguments, shapes: [shape], dataType: dataType)[0]
  }

  /// Appends an operation with several results.
  mutating func emit(
    _ type: String, _ wanted: String, _ arguments: [(String, Argument)], shapes: [[Int]],
    dataType: DataType = .float16
  ) throws(MILError) -> [String] {
    let result = name(wanted)
    var inputs: [String: [Binding]] = [:]
    for (key, argument) in arguments {
      inputs[key] = try bindings(argument, "\(result)_\(key)")
    }
    let names = [result] + shapes.dropFirst().map { _ in name(wanted) }
    operations.append(
      ProgramOperation(
        type, inputs: inputs,
        outputs: zip(names, shapes).map { NamedType($0, .tensor(TensorType(dataType, $1))) },
        attributes: ["name": Value(result)]))
    return names
  }

  private mutating func bindings(
    _ argument: Argument, _ wanted: String
  ) throws(MILError) -> [Binding] {
    switch argument {
    case .value(let name): return [.name(name)]
    case .values(let names): return names.map { .name($0) }
    case .half(let values, let shape):
      return [.name(try half(values, shape: shape, named: wanted))]
    case .halfScalar(let value):
      return [.name(try half([value], shape: [], named: wanted))]
    case .floatScalar(let value):
      return [.name(constant(.float32, [], .floats([value]), wanted))]
    case .int(let value): return [.name(constant(.int32, [], .ints([Int32(value)]), wanted))]
    case .ints(let values):
      return [.name(constant(.int32, [values.count], .ints(values.map { Int32($0) }), wanted))]
    case .bool(let value): return [.name(constant(.bool, [], .bools([value]), wanted))]
    case .bools(let values):
      return [.name(constant(.bool, [values.count], .bools(values), wanted))]
    case .text(let text):
      return [.name(constant(.string, [], .strings([text]), wanted))]
    }
  }

  private mutating func constant(
    _ type: DataType, _ shape: [Int], _ content: Value.Content, _ wanted: String
  ) -> String {
    let result = name(wanted)
    let type = ValueType.tensor(TensorType(type, shape))
    operations.append(
      ProgramOperation(
        "const", outputs: [NamedType(result, type)],
        attributes: ["name": Value(result), "val": Value(type, content)]))
    return result
  }

  /// A constant in half precision, in the weight file if it is large enough to be worth it there.
  mutating func half(
    _ values: [Float], shape: [Int], named wanted: String
  ) throws(MILError) -> String {
    let codes = HalfPrecision.encode(Buffer(values))
    let value = try stored(
      .float16, shape: shape, codes.withUnsafeBytes { Data($0) }, count: codes.count)
    return constant(.float16, shape, value.content, wanted)
  }

  /// A weight under its name in the network, in the given MIL shape.
  mutating func weight(_ name: String, shape: [Int]) throws -> String {
    let key = "\(name) \(shape)"
    if let known = constants[key] { return known }
    guard let weight = weights.weights[name] else { throw ExportError.missingWeight(name) }
    let result: String
    switch weight {
    case .half(let buffer):
      result = try half(buffer.elements, shape: shape, named: name + "_to_fp16")
    case .palettized(let tensor):
      result = try palette(tensor, shape: shape, named: name)
    }
    constants[key] = result
    return result
  }

  private mutating func palette(
    _ tensor: PalettizedTensor, shape: [Int], named weight: String
  ) throws -> String {
    guard options.target.supportsPalette(bits: tensor.bits) else {
      throw ExportError.unsupportedBits(
        tensor.bits, weight: weight, target: options.target.name)
    }
    let packed = PackedIndices(tensor.indices, bits: tensor.bits)
    let table = tensor.table.withUnsafeBytes { Data($0) }
    let result = name(weight + "_to_fp16_palettized")
    let output = NamedType(result, .tensor(TensorType(.float16, shape)))
    if options.target.hasTypedIndices {
      let type = DataType.unsigned(bits: tensor.bits) ?? .uint8
      let axes = shape.map { _ in 1 }
      let lut = try stored(
        .float16, shape: axes + [tensor.table.count, 1], table, count: tensor.table.count)
      let indices = try blob(type, shape: shape, Data(packed.bytes), count: tensor.indices.count)
      operations.append(
        ProgramOperation(
          "constexpr_lut_to_dense", inputs: ["indices": [.value(indices)], "lut": [.value(lut)]],
          outputs: [output], attributes: ["name": Value(result)]))
    } else {
      let lut = try stored(
        .float16, shape: [tensor.table.count], table, count: tensor.table.count)
      let indices = try blob(
        .uint8, shape: [packed.bytes.count], Data(packed.bytes), count: packed.bytes.count)
      let dimensions = shape.map { UInt32($0).littleEndian }.withUnsafeBytes { Data($0) }
      let axes = Value(.tensor(TensorType(.uint32, [shape.count])), .bytes(dimensions))
      operations.append(
        ProgramOperation(
          "constexpr_lut_to_dense", outputs: [output],
          attributes: [
            "name": Value(result), "indices": indices, "lut": lut, "shape": axes,
          ]))
    }
    return result
  }

  /// Ten elements and more go to the weight file, as coremltools has it; fewer stay in the program.
  private func stored(
    _ type: DataType, shape: [Int], _ bytes: Data, count: Int
  ) throws(MILError) -> Value {
    guard count < 10 else { return try blob(type, shape: shape, bytes, count: count) }
    return Value(.tensor(TensorType(type, shape)), .bytes(bytes))
  }

  private func blob(
    _ type: DataType, shape: [Int], _ bytes: Data, count: Int
  ) throws(MILError) -> Value {
    let offset = try file.append(type, bytes, count: count)
    return Value(
      .tensor(TensorType(type, shape)),
      .blob(file: "@model_path/weights/weight.bin", offset: offset))
  }
}
