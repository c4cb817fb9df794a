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
  /// The last operation that reads each value and is no constant.
  private let lastReader: [String: Int]

  package init(path: String) throws(MILError) {
    package = try ModelPackage(path)
    operations = package.model.functions[package.model.defaultFunction]?.block.operations ?? []
    var maker: [String: Int] = [:]
    for (index, operation) in operations.enumerated() {
      for output in operation.outputs { maker[output.name] = index }
    }
    self.maker = maker
    var lastReader: [String: Int] = [:]
    for (index, operation) in operations.enumerated() where !operation.isConstant {
      for case .name(let name) in operation.inputs.values.joined() { lastReader[name] = index }
    }
    self.lastReader = lastReader
  }

  /// Writes both halves.
  ///
  /// - Throws: when the program has no place to cut.
  package func write(to first: String, _ second: String) throws {
    let cut = try cut()
    let crossing = crossing(cut)
    var names = Set(operations.flatMap { $0.outputs.map(\.name) })
    let ports = crossing.map { Port(value: $0, type: declaredType($0), taken: &names) }
    try write(firstHalf(cut, ports), to: first, named: "_chunk1")
    try write(secondHalf(cut, ports), to: second, named: "_chunk2")
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

  private func declaredType(_ value: String) -> TensorType {
    guard let index = maker[value],
      let type = operations[index].outputs.first(where: { $0.name == value })?.type.tensor
    else { return TensorType(.string, []) }
    return type
  }

  private func sources(_ operation: ProgramOperation) -> [String] {
    operation.inputs.sorted { $0.key < $1.key }.flatMap { $0.value }.compactMap {
      if case .name(let name) = $0 { name } else { nil }
    }
  }

  /// The first operation of the second half: where two to three fifths of the stored bytes lie before it, the place
  /// that the fewest values cross and, of several, the one nearest to half; the nearest of all if there is none.
  private func cut() throws(MILError) -> Int {
    var before = [0]
    for operation in operations { before.append(before[before.count - 1] + (try storedBytes(operation))) }
    let total = before[before.count - 1]
    let crossings = crossingCounts()
    let places = operations.indices.dropLast().filter {
      !operations[$0].isConstant && crossings[$0].values > 0 && crossings[$0].unfit == 0
    }
    func distance(_ place: Int) -> Int { abs(2 * before[place] - total) }
    let balanced = places.filter { 5 * distance($0) <= total }
    let best = balanced.min {
      (crossings[$0].values, distance($0)) < (crossings[$1].values, distance($1))
    }
    guard total > 0, let best = best ?? places.min(by: { distance($0) < distance($1) }) else {
      throw .model(package: package.path, expected: "weights to divide and a place to cut", found: "none")
    }
    return best
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

  /// Computed values of the operations before `cut` that those from it on need, in the program's order.
  private func crossing(_ cut: Int) -> [String] {
    operations[..<cut].indices.filter { !operations[$0].isConstant }
      .flatMap { operations[$0].outputs.map(\.name) }
      .filter { (lastReader[$0] ?? -1) >= cut }
  }

  /// For a cut before each operation, how many values cross, and how many of them cannot be features.
  private func crossingCounts() -> [(values: Int, unfit: Int)] {
    var values = [Int](repeating: 0, count: operations.count + 1)
    var unfit = values
    for index in operations.indices where !operations[index].isConstant {
      for output in operations[index].outputs {
        guard let last = lastReader[output.name], last > index else { continue }
        values[index + 1] += 1
        values[last + 1] -= 1
        if !canCross(declaredType(output.name)) {
          unfit[index + 1] += 1
          unfit[last + 1] -= 1
        }
      }
    }
    var counts: [(values: Int, unfit: Int)] = []
    var sum = (values: 0, unfit: 0)
    for index in operations.indices {
      sum = (sum.values + values[index], sum.unfit + unfit[index])
      counts.append(sum)
    }
    return counts
  }

  // MARK: Halves

  private func firstHalf(_ cut: Int, _ ports: [Port]) -> Model {
    let computed = operations[..<cut].filter { !$0.isConstant }
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
    let computed = operations[cut...].filter { !$0.isConstant }
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
      guard let index = maker[name], own.contains(name) || operations[index].isConstant, wanted.insert(index).inserted
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
  ///
  /// - Parameter ending: of the component's name.
  private func write(_ model: Model, to path: String, named ending: String) throws {
    let writer = try ModelPackageWriter(path)
    var model = model
    model.metadata.userDefined[Metadata.componentKey]? += ending
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
