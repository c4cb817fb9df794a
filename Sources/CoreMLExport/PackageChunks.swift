internal import Foundation
package import MIL

/// A package cut in two, for devices that cannot hold a network in one piece.
///
/// The second half takes the first half's outputs by name, beside the inputs that it needs itself, as Apple's
/// `chunk_mlprogram` has it. The cut lies where each half stores about as many bytes.
package struct PackageChunks {
  private let package: ModelPackage
  private let operations: [ProgramOperation]
  /// The operation that makes each value.
  private let maker: [String: Int]

  package init(path: String) throws(MILError) {
    package = try ModelPackage(path)
    operations = package.model.functions[package.model.defaultFunction]?.block.operations ?? []
    var maker: [String: Int] = [:]
    for (index, operation) in operations.enumerated() {
      for output in operation.outputs { maker[output.name] = index }
    }
    self.maker = maker
  }

  /// Writes both halves.
  ///
  /// - Throws: when the program has no place to cut.
  package func write(to first: String, _ second: String) throws {
    let cut = try cut()
    let crossing = crossing(cut)
    var names = Set(operations.flatMap { $0.outputs.map(\.name) })
    let ports = crossing.map { Port(value: $0, type: declaredType($0), taken: &names) }
    try write(firstHalf(cut, ports), to: first)
    try write(secondHalf(cut, ports), to: second)
  }

  /// A value that crosses the cut: in single precision outside, as Apple's have it.
  private struct Port {
    let value: String
    let type: TensorType
    /// The name of the feature.
    let feature: String

    init(value: String, type: TensorType, taken: inout Set<String>) {
      self.value = value
      self.type = type
      var feature = value
      if type.dataType == .float16 {
        repeat { feature += "_crossing" } while !taken.insert(feature).inserted
      }
      self.feature = feature
    }

    var outside: TensorType {
      type.dataType == .float16 ? TensorType(.float32, type.dimensions) : type
    }
  }

  private func isConstant(_ index: Int) -> Bool {
    operations[index].type == "const" || operations[index].type.hasPrefix("constexpr_")
  }

  private func declaredType(_ value: String) -> TensorType {
    guard let index = maker[value],
      let type = operations[index].outputs.first(where: { $0.name == value })?.type.tensor
    else { preconditionFailure("a value without operation: \(value)") }
    return type
  }

  private func sources(_ operation: ProgramOperation) -> [String] {
    operation.inputs.sorted { $0.key < $1.key }.flatMap { $0.value }.compactMap {
      if case .name(let name) = $0 { name } else { nil }
    }
  }

  /// The first operation of the second half: the one at which half of the stored bytes has been read, or the next one
  /// behind it where the fewest values cross among its neighbours.
  private func cut() throws(MILError) -> Int {
    var bytes: [Int] = []
    for operation in operations { bytes.append(try storedBytes(operation)) }
    let total = bytes.reduce(0, +)
    var sum = 0
    let half = bytes.firstIndex { size in
      sum += size
      return 2 * sum >= total
    }
    guard let half, total > 0 else {
      throw .model(package: package.path, expected: "weights to divide", found: "none")
    }
    let places = operations.indices.filter {
      $0 > half && $0 < operations.count - 1 && !isConstant($0)
    }.prefix(60)
    let cuts = places.map { (place: $0, crossing: crossing($0)) }.filter {
      !$0.crossing.isEmpty && $0.crossing.allSatisfy { canCross(declaredType($0)) }
    }
    guard let best = cuts.min(by: { $0.crossing.count < $1.crossing.count }) else {
      throw .model(package: package.path, expected: "a place to cut behind half of the weights", found: "none")
    }
    return best.place
  }

  /// Whether an application can hand a value over.
  private func canCross(_ type: TensorType) -> Bool {
    type.shape != nil && [.float16, .float32, .int32].contains(type.dataType)
  }

  /// Of the weight file; a record counts where it is first named.
  private func storedBytes(_ operation: ProgramOperation) throws(MILError) -> Int {
    var sum = 0
    for value in Array(operation.attributes.values) + immediates(operation) {
      if case .blob(let file, let offset) = value.content {
        sum += try package.weights(file: file, offset: offset).range.count
      }
    }
    return sum
  }

  private func immediates(_ operation: ProgramOperation) -> [Value] {
    operation.inputs.values.joined().compactMap { if case .value(let value) = $0 { value } else { nil } }
  }

  /// Computed values of the operations before `cut` that those from it on, or the outputs, need.
  private func crossing(_ cut: Int) -> [String] {
    var needed: [String] = []
    var seen: Set<String> = []
    let later = operations[cut...].filter { $0.type != "const" && !$0.type.hasPrefix("constexpr_") }
    for name in later.flatMap(sources) {
      if let index = maker[name], index < cut, !isConstant(index), seen.insert(name).inserted {
        needed.append(name)
      }
    }
    return needed
  }

  // MARK: Halves

  private func firstHalf(_ cut: Int, _ ports: [Port]) -> Model {
    let computed = operations[..<cut].filter { $0.type != "const" && !$0.type.hasPrefix("constexpr_") }
    let kept = needed(by: ports.map(\.value), among: Array(computed))
    var block = kept
    for port in ports where port.type.dataType == .float16 {
      block += cast(port.value, to: "fp32", port.outside, named: port.feature)
    }
    return model(block, outputs: ports.map { Feature($0.feature, $0.outside) }, extra: [])
  }

  private func secondHalf(_ cut: Int, _ ports: [Port]) -> Model {
    var block: [ProgramOperation] = []
    for port in ports where port.type.dataType == .float16 {
      block += cast(port.feature, to: "fp16", port.type, named: port.value)
    }
    let computed = operations[cut...].filter { $0.type != "const" && !$0.type.hasPrefix("constexpr_") }
    let outputs = package.model.outputs
    block += needed(by: outputs.map(\.name), among: Array(computed))
    return model(
      block, outputs: outputs,
      extra: ports.map { Feature($0.feature, $0.outside, shortDescription: "From the first half") })
  }

  /// The operations that lead to these values, with their constants before them, in the program's order.
  private func needed(by values: [String], among computed: [ProgramOperation]) -> [ProgramOperation] {
    let own = Set(computed.flatMap { $0.outputs.map(\.name) })
    var wanted: Set<Int> = []
    var pending = values
    while let name = pending.popLast() {
      guard let index = maker[name], own.contains(name) || isConstant(index), wanted.insert(index).inserted
      else { continue }
      pending += sources(operations[index])
    }
    return wanted.sorted().map { operations[$0] }
  }

  private func cast(
    _ source: String, to type: String, _ result: TensorType, named name: String
  ) -> [ProgramOperation] {
    let word = name + "_dtype"
    return [
      ProgramOperation(
        "const", outputs: [NamedType(word, .tensor(TensorType(.string, [])))],
        attributes: ["name": Value(word), "val": Value(type)]),
      ProgramOperation(
        "cast", inputs: ["x": [.name(source)], "dtype": [.name(word)]],
        outputs: [NamedType(name, .tensor(result))], attributes: ["name": Value(name)]),
    ]
  }

  /// - Parameter extra: features that come from the first half.
  private func model(
    _ operations: [ProgramOperation], outputs: [Feature], extra: [Feature]
  ) -> Model {
    let used = Set(operations.flatMap(sources))
    let inputs = package.model.inputs.filter { used.contains($0.name) } + extra
    let opset = package.model.functions[package.model.defaultFunction]?.opset ?? ""
    let function = Function(
      inputs: inputs.compactMap { feature in
        feature.type.map { NamedType(feature.name, .tensor($0)) }
      }, opset: opset,
      block: Block(operations: operations, outputs: outputs.map(\.name)))
    return Model(
      specificationVersion: package.model.specificationVersion, inputs: inputs, outputs: outputs,
      metadata: package.model.metadata, functions: ["main": function])
  }

  // MARK: Weights

  /// Writes a half with the records that it names.
  private func write(_ model: Model, to path: String) throws {
    let writer = try ModelPackageWriter(path)
    var model = model
    var block = model.functions["main"]?.block.operations ?? []
    for index in block.indices {
      for (name, value) in block[index].attributes.sorted(by: { $0.key < $1.key }) {
        block[index].attributes[name] = try moved(value, writer.weights)
      }
      for (name, bindings) in block[index].inputs.sorted(by: { $0.key < $1.key }) {
        block[index].inputs[name] = try bindings.map { binding in
          guard case .value(let value) = binding else { return binding }
          return .value(try moved(value, writer.weights))
        }
      }
    }
    model.functions["main"]?.block.operations = block
    try writer.finish(model)
  }

  private func moved(_ value: Value, _ weights: WeightFileWriter) throws -> Value {
    guard case .blob(let file, let offset) = value.content,
      let count = value.type.tensor?.shape?.reduce(1, *)
    else { return value }
    let record = try package.weights(file: file, offset: offset)
    let copied = try weights.append(record.type, record.data, count: count)
    return Value(value.type, .blob(file: "@model_path/weights/weight.bin", offset: copied))
  }
}
