package import MIL
package import Tensors

/// One of a package's functions.
package struct PackageFunction {
  package let name: String
  package let network: TracedNetwork
  package let weights: any ExportWeights

  package init(name: String, network: TracedNetwork, weights: any ExportWeights) {
    (self.name, self.network, self.weights) = (name, network, weights)
  }
}

/// A network as a package will show it: its features, and the recording that leads from the ones to the others.
package struct TracedNetwork: Sendable {
  /// A feature that goes in; the recording knows it as a leaf of the same name.
  package struct Input: Sendable {
    package let name: String
    package let type: DataType
    /// As an application sees it.
    package let shape: [Int]
    package let description: String
    /// Whether the features of a `[batch, features]` input stand where images have their channels.
    package let becomesImage: Bool

    package init(
      _ name: String, _ type: DataType, _ shape: [Int], becomesImage: Bool = false,
      description: String
    ) {
      self.name = name
      self.type = type
      self.shape = shape
      self.becomesImage = becomesImage
      self.description = description
    }
  }

  /// A feature that comes out, in single precision.
  package struct Output: Sendable {
    package let name: String
    /// `[batch, height, width, channels]` comes out channels first; sequences and rows as they are.
    package let tensor: Tensor
    package let type: DataType
    package let description: String

    package init(_ name: String, _ tensor: Tensor, type: DataType = .float32, description: String) {
      self.name = name
      self.tensor = tensor
      self.type = type
      self.description = description
    }
  }

  /// Features that are computed behind the recording, by operations that the engine does not have.
  struct Ending: Sendable {
    typealias Feature = (value: Operand, description: String)

    /// What the recording leads to.
    let tensor: Tensor
    /// Appends the operations, given the tensor's value and the features that went in.
    let lower: @Sendable (Operand, [String: Operand], inout LoweringContext) throws -> [Feature]

    init(
      _ tensor: Tensor,
      lower: @escaping @Sendable (Operand, [String: Operand], inout LoweringContext) throws -> [Feature]
    ) {
      self.tensor = tensor
      self.lower = lower
    }
  }

  package let inputs: [Input]
  package let outputs: [Output]
  let ending: Ending?

  init(inputs: [Input], outputs: [Output], ending: Ending? = nil) {
    self.inputs = inputs
    self.outputs = outputs
    self.ending = ending
  }

  /// Writes the network as a package; whatever lay there is replaced when everything has gone well.
  ///
  /// - Parameter metadata: shown to whoever opens the package.
  package func write(
    _ weights: any ExportWeights, options: ExportOptions, to path: String, metadata: Metadata
  ) throws {
    try Self.write(
      [PackageFunction(name: "main", network: self, weights: weights)], options: options, to: path, metadata: metadata)
  }

  /// Writes several networks as functions of one package, which store what they have in common once.
  ///
  /// - Parameter functions: the first one is the default.
  package static func write(
    _ functions: [PackageFunction], options: ExportOptions, to path: String, metadata: Metadata
  ) throws {
    let writer = try ModelPackageWriter(path)
    var model: Model?
    for function in functions {
      let builder = ProgramBuilder(target: options.target, weights: writer.weights)
      try function.network.lower(function.weights, options, into: builder)
      let own = builder.model(metadata: metadata, function: function.name)
      model = model.map { $0.adding(own) } ?? own
    }
    guard let model else { preconditionFailure("a package without functions") }
    try writer.finish(model)
  }

  private func lower(
    _ weights: any ExportWeights, _ options: ExportOptions, into builder: ProgramBuilder
  ) throws {
    let features = inputs.map {
      builder.input($0.name, $0.type, $0.shape, description: $0.description)
    }
    let trace = Trace(of: outputs.map(\.tensor) + [ending?.tensor].compactMap { $0 })
    let known = Set(inputs.map(\.name))
    weights.announce(weightNames(trace, known))
    var context = LoweringContext(options: options, weights: weights, builder: builder)
    let values = try lower(trace, features, into: &context)
    func lowered(_ tensor: Tensor) -> (Operand, Shape) {
      guard let node = tensor.node, case .value(let value, let shape)? = values[ObjectIdentifier(node)]
      else { preconditionFailure("an output that is not in its own trace") }
      return (value, shape)
    }
    for output in outputs {
      let (value, shape) = lowered(output.tensor)
      let result = try finish(value, shape, as: output, into: &context)
      builder.output(result, description: output.description)
    }
    if let ending {
      let given = Dictionary(uniqueKeysWithValues: features.map { ($0.name, $0) })
      for feature in try ending.lower(lowered(ending.tensor).0, given, &context) {
        builder.output(feature.value, description: feature.description)
      }
    }
  }

  /// Leaves that are no inputs, in the order in which the operations ask for them.
  private func weightNames(_ trace: Trace, _ inputs: Set<String>) -> [String] {
    var names: [String] = []
    var seen = inputs
    for node in trace.nodes {
      for leaf in node.history?.inputs ?? [] {
        if let leaf, leaf.history == nil, seen.insert(leaf.name).inserted { names.append(leaf.name) }
      }
    }
    return names
  }

  /// - Returns: what every node became.
  private func lower(
    _ trace: Trace, _ features: [Operand], into context: inout LoweringContext
  ) throws -> [ObjectIdentifier: LoweredInput] {
    var values: [ObjectIdentifier: LoweredInput] = [:]
    for node in trace.nodes {
      guard let history = node.history else {
        values[ObjectIdentifier(node)] = try leaf(node, features, &context)
        continue
      }
      guard let operation = history.operation as? any MILLowering else {
        throw ExportError.unsupportedOperation(node.name)
      }
      let arguments = history.inputs.compactMap { $0 }.compactMap { values[ObjectIdentifier($0)] }
      precondition(arguments.count == history.inputs.count, "\(node.name): an input without value")
      let result = try operation.lower(arguments, shape: node.shape, into: &context)
      values[ObjectIdentifier(node)] = .value(result, node.shape)
    }
    return values
  }

  private func leaf(
    _ node: Node, _ features: [Operand], _ context: inout LoweringContext
  ) throws -> LoweredInput {
    guard let index = inputs.firstIndex(where: { $0.name == node.name }) else {
      return .weight(node.name, node.shape)
    }
    let feature = features[index]
    guard inputs[index].becomesImage else { return .value(feature, node.shape) }
    let image = try context.emit(
      "expand_dims", feature.name + "_image", ["x": .value(feature), "axes": .ints([2, 3])],
      shape: feature.shape + [1, 1])
    return .value(image, node.shape)
  }

  /// The value in the axes and type that the feature has, under its name.
  private func finish(
    _ value: Operand, _ shape: Shape, as output: Output, into context: inout LoweringContext
  ) throws -> Operand {
    var value = value
    switch shape.rank {
    case 3:
      value = try context.tokensFirst(value, batch: shape[0], tokens: shape[1], features: shape[2])
    case 2:
      value = try context.emit(
        "squeeze", output.name + "_row", ["x": .value(value), "axes": .ints([2, 3])],
        shape: shape.axes)
    default: break
    }
    guard value.dataType != output.type else {
      return try context.builder.operation(
        "identity", name: output.name, ["x": .value(value)], output.type, value.shape)
    }
    return try context.builder.operation(
      "cast", name: output.name,
      ["x": .value(value), "dtype": .text(output.type.description)], output.type, value.shape)
  }
}
