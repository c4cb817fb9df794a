internal import Clustering
internal import Kernels
package import MIL

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

/// A network's program in the making: lowerings append operations to it and get their results.
///
/// Values are half precision throughout, images `[batch, channels, height, width]` and sequences
/// `[batch, features, 1, tokens]`, as Apple's converter has them.
struct LoweringContext {
  let options: ExportOptions
  let builder: ProgramBuilder
  private let weights: HardWeights
  /// How often each name was wanted.
  private var wanted: [String: Int] = [:]
  /// Weights already in the program, by name and MIL shape.
  private var stored: [String: Operand] = [:]

  init(options: ExportOptions, weights: HardWeights, builder: ProgramBuilder) {
    self.options = options
    self.weights = weights
    self.builder = builder
  }

  /// Appends an operation with one result.
  mutating func emit(
    _ type: String, _ name: String, _ inputs: [String: OperationInput], shape: [Int]
  ) throws(MILError) -> Operand {
    try emit(type, name, inputs, shapes: [shape])[0]
  }

  /// Appends an operation with several results.
  mutating func emit(
    _ type: String, _ name: String, _ inputs: [String: OperationInput], shapes: [[Int]]
  ) throws(MILError) -> [Operand] {
    let first = unused(name)
    let names = [first] + (1..<shapes.count).map { "\(first)_\($0)" }
    return try builder.operation(
      type, name: first, inputs, results: zip(names, shapes).map { ($0, .float16, $1) })
  }

  /// Numbers that are no weight of the network, in half precision.
  mutating func constant(
    _ name: String, _ values: [Float], shape: [Int]
  ) throws(MILError) -> Operand {
    try builder.constant(unused(name), shape, half: HalfPrecision.encode(Buffer(values)))
  }

  /// A weight of the network in the given MIL shape, under its own name.
  mutating func weight(_ name: String, shape: [Int]) throws -> Operand {
    let key = "\(name) \(shape)"
    if let known = stored[key] { return known }
    guard let weight = weights.weights[name] else { throw ExportError.missingWeight(name) }
    let plain = ProgramBuilder.identifier(name) + "_to_fp16"
    let operand =
      switch weight {
      case .half(let buffer):
        try builder.constant(unused(plain), shape, half: HalfPrecision.encode(buffer))
      case .palettized(let tensor):
        try builder.weight(
          unused(plain + "_palettized"), try palettized(tensor, shape: shape, name: name))
      }
    stored[key] = operand
    return operand
  }

  /// The tensor in another shape with the same channels.
  private func palettized(
    _ tensor: PalettizedTensor, shape: [Int], name: String
  ) throws(ExportError) -> PalettizedWeight {
    let tensor = tensor.folded
    let layout = tensor.layout
    precondition(
      shape.starts(with: tensor.shape) && shape.reduce(1, *) == layout.count,
      "\(name): \(shape) of \(tensor.shape)")
    let table: PalettizedWeight.Table =
      tensor.entries.quantized.map { .int8($0.values, scales: $0.steps) } ?? .half(tensor.entries.codes)
    let weight = PalettizedWeight(
      shape: shape, indices: PackedIndices(tensor.indices, bits: tensor.bits), table: table,
      groups: layout.groups, axis: layout.axis, vector: layout.vector, scale: tensor.scale)
    if let obstacle = weight.obstacle(for: options.target) {
      throw .palette(weight: name, obstacle: obstacle, target: options.target.rawValue)
    }
    return weight
  }

  /// The name itself the first time, then with a number behind it.
  private mutating func unused(_ name: String) -> String {
    let count = wanted[name, default: 0]
    wanted[name] = count + 1
    return count == 0 ? name : "\(name)_n\(count)"
  }
}
