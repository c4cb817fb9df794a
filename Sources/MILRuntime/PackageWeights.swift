package import Kernels
package import MIL

/// The weights of a package's program: how each is stored, and its values.
package struct PackageWeights: Sendable {
  /// How a weight's elements are stored.
  package enum Form: Sendable, Equatable, CustomStringConvertible {
    case dense(DataType)
    /// - Parameters:
    ///   - bits: of an index.
    ///   - tables: palettes, each for a part of the tensor.
    ///   - vector: numbers in an entry.
    ///   - extras: other operations in the chain, such as scales and masks.
    case palette(bits: Int, tables: Int, vector: Int, extras: [String])
    /// Anything else, by the operations that make it.
    case compressed([String])

    package var description: String {
      switch self {
      case .dense(let type): "\(type)"
      case .palette(let bits, let tables, let vector, let extras):
        (["\(bits)-bit palette"] + (tables > 1 ? ["\(tables) tables"] : [])
          + (vector > 1 ? ["vectors of \(vector)"] : []) + extras).joined(separator: ", ")
      case .compressed(let operations): operations.joined(separator: " + ")
      }
    }

    package var isCompressed: Bool { if case .dense = self { false } else { true } }
  }

  package struct Weight: Sendable {
    /// Without the endings that converters add for types and compression.
    package let name: String
    /// The value's name in the program.
    package let value: String
    package let shape: [Int]
    package let form: Form
    /// Of all constants that it is made of.
    package let storedBytes: Int
    /// Types of the operations that read it.
    package let readers: [String]

    package var count: Int { shape.reduce(1, *) }
  }

  package let path: String
  /// Float constants of more than one element that operations read, in the program's order.
  package let weights: [Weight]
  private let constants: [String: RuntimeValue]

  package init(path: String, function: String? = nil) throws(MILError) {
    let package = try ModelPackage(path)
    var verifier = try Verifier(package, function: function)
    constants = try verifier.constants()
    self.path = package.path
    weights = ConstantChains(verifier.function.block).weights()
  }

  /// The first weight with an element that is no finite number, and the element's index.
  package var firstNotFinite: (weight: Weight, index: Int)? {
    for weight in weights {
      guard let index = elements(of: weight)?.firstIndex(beyond: .greatestFiniteMagnitude) else { continue }
      return (weight, index)
    }
    return nil
  }

  /// A weight's elements as the program computes with them.
  package func elements(of weight: Weight) -> Buffer? { constants[weight.value]?.floats }

  /// The name a weight has whatever its type and compression.
  static func plainName(_ value: String) -> String {
    var name = value[...]
    for ending in ["_pcs", "_palettized", "_quantized", "_sparsified", "_to_fp16"] where name.hasSuffix(ending) {
      name = name.dropLast(ending.count)
    }
    return String(name)
  }
}

/// Which constants of a block are weights, and what they are made of.
private struct ConstantChains {
  private var makers: [String: ProgramOperation] = [:]
  private var order: [String] = []
  private var readers: [String: [String]] = [:]

  init(_ block: Block) {
    for operation in block.operations {
      for output in operation.outputs where operation.isConstant {
        makers[output.name] = operation
        order.append(output.name)
      }
      guard !operation.isConstant else { continue }
      for binding in operation.inputs.values.joined() {
        if case .name(let source) = binding, makers[source] != nil {
          readers[source, default: []].append(operation.type)
        }
      }
    }
  }

  func weights() -> [PackageWeights.Weight] {
    order.compactMap { name in
      guard let readers = readers[name], let maker = makers[name],
        let type = maker.outputs.first(where: { $0.name == name })?.type.tensor,
        type.dataType.isFloat, let shape = type.shape, (TensorShape.count(shape) ?? 0) > 1
      else { return nil }
      let chain = chain(name)
      return PackageWeights.Weight(
        name: PackageWeights.plainName(name), value: name, shape: shape,
        form: form(chain, type.dataType), storedBytes: chain.reduce(0) { $0 + $1.storedBytes },
        readers: readers)
    }
  }

  /// The operations that make a value, the last one first.
  private func chain(_ name: String) -> [ProgramOperation] {
    var chain: [ProgramOperation] = []
    var pending = [name]
    var seen: Set<String> = []
    while let next = pending.popLast() {
      guard !seen.contains(next), let maker = makers[next] else { continue }
      // An operation of several results is one link.
      seen.formUnion(maker.outputs.map(\.name))
      chain.append(maker)
      for binding in maker.inputs.sorted(by: { $0.key < $1.key }).flatMap({ $0.value }) {
        if case .name(let source) = binding { pending.append(source) }
      }
    }
    return chain
  }

  private func form(_ chain: [ProgramOperation], _ type: DataType) -> PackageWeights.Form {
    let types = chain.map(\.type).filter { $0 != "const" }
    guard !types.isEmpty else { return .dense(type) }
    guard let look = chain.first(where: { $0.type.hasPrefix("constexpr_lut_to_") }) else {
      return .compressed(types.map { String($0.dropFirst("constexpr_".count)) })
    }
    let lut = argument("lut", of: look)?.shape ?? []
    let extras = types.filter { $0 != look.type }.map { String($0.dropFirst("constexpr_".count)) }
    // Before specification 9 the table has one axis, later those of the tensor and two more.
    guard lut.count >= 2 else {
      return .palette(bits: (lut.first ?? 1).trailingZeroBitCount, tables: 1, vector: 1, extras: extras)
    }
    return .palette(
      bits: lut[lut.count - 2].trailingZeroBitCount, tables: TensorShape.count(Array(lut.dropLast(2))) ?? 0,
      vector: lut[lut.count - 1], extras: extras)
  }

  private func argument(_ name: String, of operation: ProgramOperation) -> TensorType? {
    switch operation.inputs[name]?.first {
    case .value(let value)?: return value.type.tensor
    case .name(let source)?:
      return makers[source]?.outputs.first { $0.name == source }?.type.tensor
    case nil: return operation.attributes[name]?.type.tensor
    }
  }
}

extension ProgramOperation {
  /// Bytes of the constants written into it or into the weight file.
  fileprivate var storedBytes: Int {
    let values =
      attributes.filter { $0.key != "name" }.map(\.value)
      + inputs.values.joined().compactMap { if case .value(let value) = $0 { value } else { nil } }
    return values.reduce(0) { sum, value in
      guard let type = value.type.tensor, let shape = type.shape else { return sum }
      return sum + ((TensorShape.count(shape) ?? 0) * type.dataType.bits + 7) / 8
    }
  }
}
