package import Foundation
internal import Kernels

/// Puts a program together the way Apple's tools do, so that their loader accepts it.
///
/// Every argument is a `const` operation bound by name; constants of ten elements or more lie in
/// the weight file.
///
///     let writer = try ModelPackageWriter(path)
///     let program = ProgramBuilder(target: .iOS16, weights: writer.weights)
///     let x = program.input("x", .float16, [1, 4, 8, 8])
///     let y = try program.operation(
///       "softmax", name: "y", ["x": .value(x), "axis": .int(-1)], .float16, [1, 4, 8, 8])
///     program.output(y)
///     try writer.finish(program.model())
package final class ProgramBuilder {
  package let target: DeploymentTarget
  private let weights: WeightFileWriter
  private var inputs: [Feature] = []
  private var outputs: [Feature] = []
  private var operations: [ProgramOperation] = []
  private var names: Set<String> = []

  package init(target: DeploymentTarget, weights: WeightFileWriter) {
    self.target = target
    self.weights = weights
  }

  /// `text` with every character that a name may not have replaced by an underscore.
  package static func identifier(_ text: String) -> String {
    let letters = text.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
    return (letters.first?.isNumber ?? true ? "_" : "") + String(letters)
  }

  private func define(_ name: String) {
    precondition(name == Self.identifier(name), "'\(name)' is no name for a value")
    precondition(names.insert(name).inserted, "'\(name)' is defined twice")
  }

  // MARK: Interface

  package func input(
    _ name: String, _ dataType: DataType, _ shape: [Int], description: String = ""
  ) -> Operand {
    define(name)
    inputs.append(Feature(name, TensorType(dataType, shape), shortDescription: description))
    return Operand(name: name, dataType: dataType, shape: shape)
  }

  /// Makes a value an output under its own name.
  package func output(_ value: Operand, description: String = "") {
    outputs.append(Feature(value.name, value.type, shortDescription: description))
  }

  /// The model as it stands.
  ///
  /// - Parameter function: what its only function is called.
  package func model(metadata: Metadata = Metadata(), function name: String = "main") -> Model {
    precondition(!outputs.isEmpty, "a program without outputs")
    let function = Function(
      inputs: inputs.compactMap { feature in
        feature.type.map { NamedType(feature.name, .tensor($0)) }
      }, opset: target.opset,
      block: Block(operations: operations, outputs: outputs.map(\.name)))
    return Model(
      specificationVersion: target.specificationVersion, inputs: inputs, outputs: outputs,
      metadata: metadata, functions: [name: function], defaultFunction: name)
  }

  // MARK: Operations

  /// Adds an operation with one result, named as the operation.
  @discardableResult
  package func operation(
    _ type: String, name: String, _ inputs: [String: OperationInput], _ dataType: DataType,
    _ shape: [Int]
  ) throws(MILError) -> Operand {
    try operation(type, name: name, inputs, results: [(name, dataType, shape)])[0]
  }

  /// Adds an operation with several results.
  package func operation(
    _ type: String, name: String, _ inputs: [String: OperationInput],
    results: [(name: String, dataType: DataType, shape: [Int])]
  ) throws(MILError) -> [Operand] {
    var bindings: [String: [Binding]] = [:]
    for (argument, input) in inputs.sorted(by: { $0.key < $1.key }) {
      bindings[argument] = try bind(input, as: "\(name)_\(argument)_0")
    }
    return add(type, name: name, inputs: bindings, attributes: [:], results: results)
  }

  private func bind(
    _ input: OperationInput, as name: String
  ) throws(MILError) -> [Binding] {
    func literal(_ type: DataType, _ shape: [Int], _ content: Value.Content) -> [Binding] {
      [.name(const(name, Value(.tensor(TensorType(type, shape)), content)).name)]
    }
    switch input {
    case .value(let operand): return [.name(operand.name)]
    case .values(let operands): return operands.map { .name($0.name) }
    case .int(let number): return literal(.int32, [], .ints([Int32(number)]))
    case .ints(let numbers):
      return literal(.int32, [numbers.count], .ints(numbers.map { Int32($0) }))
    case .bool(let truth): return literal(.bool, [], .bools([truth]))
    case .bools(let truths): return literal(.bool, [truths.count], .bools(truths))
    case .text(let text): return literal(.string, [], .strings([text]))
    case .half(let number):
      var bytes = Data()
      bytes.append(littleEndian: HalfPrecision.encode(number))
      return literal(.float16, [], .bytes(bytes))
    case .single(let number): return literal(.float32, [], .floats([number]))
    }
  }

  private func const(_ name: String, _ value: Value) -> Operand {
    guard let type = value.type.tensor, let shape = type.shape else {
      preconditionFailure("constant \(name) of type \(value.type)")
    }
    return add(
      "const", name: name, inputs: [:], attributes: ["val": value],
      results: [(name, type.dataType, shape)])[0]
  }

  @discardableResult
  func add(
    _ type: String, name: String, inputs: [String: [Binding]], attributes: [String: Value],
    results: [(name: String, dataType: DataType, shape: [Int])]
  ) -> [Operand] {
    for result in results { define(result.name) }
    var attributes = attributes
    attributes["name"] = Value(name)
    operations.append(
      ProgramOperation(
        type, inputs: inputs,
        outputs: results.map { NamedType($0.name, .tensor(TensorType($0.dataType, $0.shape))) },
        attributes: attributes))
    return results.map { Operand(name: $0.name, dataType: $0.dataType, shape: $0.shape) }
  }

  // MARK: Constants

  /// Adds a constant tensor.
  ///
  /// - Parameter bytes: the elements, row-major and little-endian, packed below 8 bits
  @discardableResult
  package func constant(
    _ name: String, _ dataType: DataType, _ shape: [Int], bytes: Data
  ) throws(MILError) -> Operand {
    const(name, try stored(dataType, shape, bytes))
  }

  /// Adds a constant tensor in half precision.
  ///
  /// - Parameter codes: IEEE binary16, row-major
  @discardableResult
  package func constant(
    _ name: String, _ shape: [Int], half codes: [UInt16]
  ) throws(MILError) -> Operand {
    try constant(name, .float16, shape, bytes: Data(littleEndian: codes))
  }

  /// A constant as the tools store it: in the weight file from ten elements on, in the program
  /// below.
  func stored(
    _ dataType: DataType, _ shape: [Int], _ bytes: Data
  ) throws(MILError) -> Value {
    let count = shape.reduce(1, *)
    precondition(
      bytes.count == (count * dataType.bits + 7) / 8,
      "\(bytes.count) bytes for \(dataType)\(shape)")
    let type = ValueType.tensor(TensorType(dataType, shape))
    let inFile: Bool =
      switch dataType {
      case .float16, .float32, .uint8, .int8, .uint1, .uint2, .uint3, .uint4, .uint6, .int4: true
      case .int16, .uint16, .int32, .uint32: target.hasGroupedPalettes
      default: false
      }
    if inFile && count >= 10 {
      let offset = try weights.append(dataType, bytes, count: count)
      return Value(type, .blob(file: "@model_path/weights/weight.bin", offset: offset))
    }
    switch dataType {
    case .float32:
      let floats = (0..<count).map {
        Float(bitPattern: bytes.littleEndian(UInt32.self, at: $0 * 4))
      }
      return Value(type, .floats(floats))
    case .int32:
      return Value(
        type, .ints((0..<count).map { bytes.littleEndian(Int32.self, at: $0 * 4) }))
    case .float16, .int8, .uint8, .uint32, .int4, .uint1, .uint2, .uint3, .uint4, .uint6:
      return Value(type, .bytes(bytes))
    default: preconditionFailure("\(dataType) constants are not written")
    }
  }
}

extension Data {
  /// Numbers one behind the other, least significant byte first.
  package init<Number: FixedWidthInteger & BitwiseCopyable>(littleEndian numbers: [Number]) {
    if Number(littleEndian: 1) == 1 {
      self = numbers.withUnsafeBytes { Data($0) }
    } else {
      self.init(capacity: numbers.count * MemoryLayout<Number>.size)
      for number in numbers { append(littleEndian: number) }
    }
  }
}
