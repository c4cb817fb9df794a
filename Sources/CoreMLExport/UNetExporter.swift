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
    let builder = ProgramBuilder(target: options.target, weights: writer.weights)
    let inputs = declareInputs(builder)
    var context = LoweringContext(options: options, weights: weights, builder: builder)
    let prediction = try lower(try trace(), inputs, into: &context)
    let output = try builder.operation(
      "cast", name: "noise_pred", ["x": .value(prediction), "dtype": .text("fp32")], .float32,
      [batch, configuration.outputChannels, height, width])
    builder.output(output, description: "The predicted noise (or velocity) of the latents")
    try writer.finish(builder.model(metadata: metadata))
  }

  /// The features of the package.
  private func declareInputs(_ builder: ProgramBuilder) -> [Operand] {
    let text = configuration.contextFeatures.first ?? 0
    var inputs = [
      builder.input(
        "sample", .float16, [batch, configuration.inputChannels, height, width],
        description: "The noisy latents"),
      builder.input(
        "timestep", .float16, [batch], description: "The diffusion step of the latents"),
      builder.input(
        "encoder_hidden_states", .float16, [batch, text, 1, tokens],
        description: "The text encoder's states, features before tokens"),
    ]
    if let addition = configuration.textTime {
      inputs.append(
        builder.input(
          "time_ids", .float16, [batch, 6],
          description: "Original size, crop and target size in pixels"))
      inputs.append(
        builder.input(
          "text_embeds", .float16,
          [batch, addition.projectionInputs - 6 * addition.timeFeatures],
          description: "The pooled text"))
    }
    return inputs
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

  /// - Returns: the last value.
  private func lower(
    _ trace: Trace, _ inputs: [Operand], into context: inout LoweringContext
  ) throws -> Operand {
    var values: [ObjectIdentifier: LoweredInput] = [:]
    var last: Operand?
    for node in trace.nodes {
      guard let history = node.history else {
        if let input = inputs.first(where: { $0.name == node.name }) {
          values[ObjectIdentifier(node)] = .value(try image(input, &context), node.shape)
        } else {
          values[ObjectIdentifier(node)] = .weight(node.name, node.shape)
        }
        continue
      }
      guard let operation = history.operation as? any MILLowering else {
        throw ExportError.unsupportedOperation(node.name)
      }
      let arguments = history.inputs.compactMap { $0 }.compactMap { values[ObjectIdentifier($0)] }
      precondition(arguments.count == history.inputs.count, "\(node.name): an input without value")
      let result = try operation.lower(arguments, shape: node.shape, into: &context)
      values[ObjectIdentifier(node)] = .value(result, node.shape)
      last = result
    }
    guard let last else { preconditionFailure("a trace without operations") }
    return last
  }

  /// An input as the lowerings expect it: two axes become four.
  private func image(_ input: Operand, _ context: inout LoweringContext) throws -> Operand {
    guard input.shape.count == 2 else { return input }
    return try context.emit(
      "expand_dims", input.name + "_image", ["x": .value(input), "axes": .ints([2, 3])],
      shape: input.shape + [1, 1])
  }
}
