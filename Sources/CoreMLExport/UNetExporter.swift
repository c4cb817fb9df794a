package import Clustering
internal import Layers
package import MIL
package import StableDiffusion
internal import Tensors

/// Writes a UNet as a Core ML package with Apple's input and output names, shapes and types.
///
/// The network is not defined again: its trace is lowered operation by operation, palettes as they are.
package struct UNetExporter: Sendable {
  package let configuration: UNetConfiguration
  package let options: ExportOptions
  /// Samples in a call.
  package let batch: Int
  /// Latent pixels.
  package let height: Int
  package let width: Int
  /// Tokens of a prompt.
  package let tokens: Int

  package init(
    _ configuration: UNetConfiguration, options: ExportOptions, batch: Int, height: Int,
    width: Int, tokens: Int
  ) {
    self.configuration = configuration
    self.options = options
    self.batch = batch
    self.height = height
    self.width = width
    self.tokens = tokens
  }

  /// - Parameter metadata: shown to whoever opens the package.
  package func write(
    _ weights: HardWeights, to path: String, metadata: Metadata
  ) throws {
    let multiple = 1 << (configuration.blockChannels.count - 1)
    guard height % multiple == 0, width % multiple == 0, height > 0, width > 0 else {
      throw ExportError.size(height: height, width: width, multiple: multiple)
    }
    let writer = try ModelPackageWriter(path)
    var context = LoweringContext(options: options, weights: weights, file: writer.weights)
    let inputs = interface
    for input in inputs { context.reserve(input.name) }
    let prediction = try lower(try trace(), into: &context)
    let output = TensorType(
      .float32, [batch, configuration.outputChannels, height, width])
    let name = try context.emit(
      "cast", "noise_pred", [("x", .value(prediction)), ("dtype", .text("fp32"))],
      shape: [batch, configuration.outputChannels, height, width], dataType: .float32)
    let function = Function(
      inputs: inputs.map { NamedType($0.name, .tensor($0.type ?? output)) },
      opset: options.target.operationSet,
      block: Block(operations: context.operations, outputs: [name]))
    try writer.finish(
      Model(
        specificationVersion: options.target.specification, inputs: inputs,
        outputs: [
          Feature(
            name, output, shortDescription: "The predicted noise (or velocity) of the latents")
        ], metadata: metadata, functions: ["main": function]))
  }

  /// The features of the package.
  private var interface: [Feature] {
    let text = configuration.contextFeatures.first ?? 0
    var features = [
      Feature(
        "sample", TensorType(.float16, [batch, configuration.inputChannels, height, width]),
        shortDescription: "The noisy latents"),
      Feature(
        "timestep", TensorType(.float16, [batch]),
        shortDescription: "The diffusion step of the latents"),
      Feature(
        "encoder_hidden_states", TensorType(.float16, [batch, text, 1, tokens]),
        shortDescription: "The text encoder's states, features before tokens"),
    ]
    if let addition = configuration.textTime {
      features.append(
        Feature(
          "time_ids", TensorType(.float16, [batch, 6]),
          shortDescription: "Original size, crop and target size in pixels"))
      features.append(
        Feature(
          "text_embeds",
          TensorType(.float16, [batch, addition.projectionInputs - 6 * addition.timeFeatures]),
          shortDescription: "The pooled text"))
    }
    return features
  }

  /// The network's recording on inputs without elements.
  private func trace() throws -> Trace {
    let unet = try UNet(TraceParameters(), configuration)
    let features = configuration.contextFeatures.first ?? 0
    var addition: UNet.Addition?
    if let textTime = configuration.textTime {
      let pooled = textTime.projectionInputs - 6 * textTime.timeFeatures
      addition = UNet.Addition(
        textEmbeddings: .placeholder(named: "text_embeds", shape: [batch, pooled]),
        timeIdentifiers: .placeholder(named: "time_ids", shape: [batch, 6]))
    }
    return Trace(
      of: Execution.tracing {
        unet(
          .placeholder(
            named: "sample", shape: [batch, height, width, configuration.inputChannels]),
          timestep: .placeholder(named: "timestep", shape: [batch]),
          context: .placeholder(
            named: "encoder_hidden_states", shape: [batch, tokens, features]),
          addition: addition)
      })
  }

  /// - Returns: the name of the last value.
  private func lower(_ trace: Trace, into context: inout LoweringContext) throws -> String {
    let inputs = Set(interface.map(\.name))
    var values: [ObjectIdentifier: LoweredInput] = [:]
    var last = ""
    for node in trace.nodes {
      guard let history = node.history else {
        values[ObjectIdentifier(node)] =
          inputs.contains(node.name)
          ? .value(try input(node, into: &context), node.shape) : .weight(node.name, node.shape)
        continue
      }
      guard let operation = history.operation as? any MILLowering else {
        throw ExportError.unsupportedOperation(node.name)
      }
      let arguments = history.inputs.compactMap { $0 }.compactMap { values[ObjectIdentifier($0)] }
      precondition(arguments.count == history.inputs.count, "\(node.name): an input without value")
      last = try operation.lower(arguments, shape: node.shape, into: &context)
      values[ObjectIdentifier(node)] = .value(last, node.shape)
    }
    return last
  }

  /// An input as the lowerings expect it: two axes become four.
  private func input(_ node: Node, into context: inout LoweringContext) throws -> String {
    guard node.shape.rank == 2 else { return node.name }
    return try context.emit(
      "expand_dims", node.name + "_image", [("x", .value(node.name)), ("axes", .ints([2, 3]))],
      shape: MILShape.of(node.shape))
  }
}
