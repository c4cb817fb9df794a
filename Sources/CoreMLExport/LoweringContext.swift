internal import Clustering
internal import Foundation
internal import Kernels
package import MIL

/// What a package is written for.
package struct ExportOptions: Sendable {
  package enum AttentionForm: String, Sendable, CaseIterable {
    /// All heads in one batched matrix product.
    case original
    /// A product for each head, keys first.
    case splitEinsum = "split-einsum"
    /// The same with the queries in pieces of 512.
    case splitEinsumV2 = "split-einsum-v2"
  }

  /// What the program computes and stores dense weights in.
  package enum Precision: Sendable { case half, single }

  package var target: DeploymentTarget
  package var attention: AttentionForm
  package var precision: Precision

  package init(
    target: DeploymentTarget, attention: AttentionForm, precision: Precision = .half
  ) {
    self.target = target
    self.attention = attention
    self.precision = precision
  }

  var dataType: DataType { precision == .half ? .float16 : .float32 }
}

/// A network's program in the making: lowerings append operations to it and get their results.
///
/// Values are in the precision of the options, images `[batch, channels, height, width]` and sequences
/// `[batch, features, 1, tokens]`, as Apple's converter has them.
struct LoweringContext {
  let options: ExportOptions
  let builder: ProgramBuilder
  private let weights: any ExportWeights
  /// How often each name was wanted.
  private var wanted: [String: Int] = [:]
  /// Weights already in the program, by name and MIL shape.
  private var stored: [String: Operand] = [:]
  /// Causal masks already in the program, by number of tokens.
  var masks: [Int: Operand] = [:]
  /// Inputs already turned into whole numbers, by name.
  var cast: [String: Operand] = [:]

  init(options: ExportOptions, weights: any ExportWeights, builder: ProgramBuilder) {
    self.options = options
    self.weights = weights
    self.builder = builder
  }

  /// Appends an operation with one result.
  ///
  /// - Parameter type: of the result's elements; the program's precision if not given.
  mutating func emit(
    _ operation: String, _ name: String, _ inputs: [String: OperationInput], shape: [Int],
    type: DataType? = nil
  ) throws(MILError) -> Operand {
    try emit(operation, name, inputs, shapes: [shape], type: type)[0]
  }

  /// Appends an operation with several results.
  mutating func emit(
    _ operation: String, _ name: String, _ inputs: [String: OperationInput], shapes: [[Int]],
    type: DataType? = nil
  ) throws(MILError) -> [Operand] {
    let first = unused(name)
    let names = [first] + (1..<shapes.count).map { "\(first)_\($0)" }
    return try builder.operation(
      operation, name: first, inputs,
      results: zip(names, shapes).map { ($0, type ?? options.dataType, $1) })
  }

  /// A number in the program's precision.
  func scalar(_ value: Float) -> OperationInput {
    options.precision == .half ? .half(value) : .single(value)
  }

  /// Numbers in the program's precision that are stored under a name of their own.
  mutating func constant(
    _ name: String, _ values: Buffer, shape: [Int]
  ) throws(MILError) -> Operand {
    switch options.precision {
    case .half:
      try builder.constant(unused(name), shape, half: HalfPrecision.encode(values))
    case .single: try builder.constant(unused(name), .float32, shape, bytes: values.bytes)
    }
  }

  /// Whole numbers as a constant.
  mutating func integers(_ name: String, _ values: [Int], shape: [Int]) throws(MILError) -> Operand {
    try builder.constant(
      unused(name), .int32, shape, bytes: Data(littleEndian: values.map { Int32($0) }))
  }

  /// A weight of the network in the given MIL shape, under its own name.
  mutating func weight(_ name: String, shape: [Int]) throws -> Operand {
    let key = "\(name) \(shape)"
    if let known = stored[key] { return known }
    let plain = ProgramBuilder.identifier(name)
    let operand =
      switch try weights.weight(name) {
      case .dense(let buffer):
        try constant(plain + (options.precision == .half ? "_to_fp16" : ""), buffer, shape: shape)
      case .palettized(let tensor):
        try builder.weight(
          unused(plain + (options.precision == .half ? "_to_fp16" : "") + "_palettized"),
          try palettized(tensor, shape: shape, name: name), type: options.precision == .half ? .float16 : .float32)
      }
    stored[key] = operand
    return operand
  }

  /// The elements of a weight that is not palettized.
  func elements(_ name: String) throws -> Buffer {
    switch try weights.weight(name) {
    case .dense(let buffer): buffer
    case .palettized(let tensor): tensor.decoded()
    }
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
