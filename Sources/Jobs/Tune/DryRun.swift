internal import CoreMLExport
package import Foundation
internal import Kernels
internal import Layers
internal import Models
package import Recipes
internal import StableDiffusion
internal import Tensors
internal import Training

/// What a run would need, from the network's trace: nothing is loaded but configurations and the data's shapes or names.
package struct DryRun: Codable, Sendable {
  package let parameters: Int
  package let palettizedParameters: Int
  package let bitsPerWeight: Double
  /// Multiplications and additions of a forward pass of one sample.
  package let forwardOperations: Int
  /// Of a training step: forward and backward of the student, forward of the teacher.
  package let stepOperations: Int
  package let peakMemoryBytes: Int
  /// Of this machine, or less where a control group or `ulimit` says so.
  package let memoryBytes: Int
  /// From short measurements of this machine, as busy as it is.
  package let secondsPerStep: Double
  package let seconds: Double
  /// What the data is, in words.
  package let data: String

  package init(_ recipe: Recipe, recipeFolder: URL) throws {
    let (trace, shapes, data) = try Self.trace(recipe, recipeFolder)
    let batch = recipe.training.rows
    parameters = shapes.values.reduce(0) { $0 + $1.count }
    palettizedParameters = shapes.reduce(0) { sum, weight in
      recipe.clustering.palette(of: weight.key, shape: weight.value.axes) == nil
        ? sum : sum + weight.value.count
    }
    let bits = shapes.reduce(0) { $0 + recipe.clustering.storedBits(of: $1.key, shape: $1.value.axes) }
    bitsPerWeight = Double(bits) / Double(parameters)
    forwardOperations = trace.floatingPointOperations / batch
    let teacher = recipe.training.asksTeacher ? 1 : 0
    let recomputed = recipe.training.recompute ? 1 : 0
    stepOperations = trace.floatingPointOperations * (3 + teacher + recomputed)
    peakMemoryBytes = StepMemory(trace, shapes, recipe, data: data).peak
    memoryBytes = MemoryLimit.current.bytes
    secondsPerStep = try StepTime(trace, shapes, recipe).seconds
    seconds = secondsPerStep * Double(recipe.training.steps)
    self.data = try RunData.inWords(recipe, folder: recipeFolder)
  }

  /// The UNet, its weights, and the bytes that the data takes.
  private static func trace(_ recipe: Recipe, _ folder: URL) throws -> (Trace, [String: Shape], data: Int) {
    let model = try recipe.modelSource(folder)
    let configuration = try model.unetConfiguration()
    let geometry = try RunGeometry(recipe, folder: folder)
    // The run ends with a package: what cannot be one should be known before.
    try TracedNetwork.checkSize(configuration, height: geometry.height, width: geometry.width)
    let source = TraceParameters()
    let unet = try UNet(source, configuration)
    let batch = recipe.training.rows
    let count = configuration.timeIdentifierCount(pooled: model.pooledFeatures) ?? 0
    let addition = try configuration.textTime.map { textTime in
      let pooled = textTime.projectionInputs - count * textTime.timeFeatures
      guard pooled > 0, count > 0 else {
        throw JobError.unusable(
          file: recipe.model, expected: "a UNet that takes its text encoder's pooled text",
          found: "projection_class_embeddings_input_dim \(textTime.projectionInputs)")
      }
      return UNet.Addition(
        textEmbeddings: .placeholder(named: "text_embeds", shape: [batch, pooled]),
        timeIdentifiers: .placeholder(named: "time_ids", shape: [batch, count]))
    }
    let trace = Trace(
      of: Execution.recomputing(recipe.training.recompute) {
        Execution.tracing {
          unet(
            .placeholder(
              named: "sample", shape: [batch, geometry.height, geometry.width, configuration.inputChannels]),
            timestep: .placeholder(named: "timestep", shape: [batch]),
            context: .placeholder(
              named: "context",
              shape: [batch, geometry.tokens, configuration.contextFeatures[0]]),
            addition: addition)
        }
      })
    return (
      trace, source.shapes,
      try RunData.bytes(recipe, folder: folder, tokens: geometry.tokens, features: configuration.contextFeatures[0])
    )
  }

  /// Refuses a run that this machine cannot hold, before anything is loaded.
  ///
  /// - Parameter ranks: processes that share out batch and state, each on a machine like this one.
  /// - Throws: ``JobError/tooLarge`` with what in the recipe would change that.
  package static func check(_ recipe: Recipe, recipeFolder: URL, ranks: Int = 1) throws {
    var share = recipe
    share.training.batchSize /= ranks
    let (trace, shapes, data) = try trace(share, recipeFolder)
    let needed = StepMemory(trace, shapes, share, data: data, ranks: ranks).peak
    let limit = MemoryLimit.current
    guard needed > limit.bytes else { return }
    var advice: [String] = []
    if !recipe.training.recompute { advice.append("training.recompute=true") }
    if recipe.training.moments != .bytes { advice.append("training.moments=8-bit") }
    if recipe.training.gradientNorm > 0 { advice.append("training.gradientNorm=0") }
    if recipe.training.state == .memory { advice.append("training.state=file") }
    if recipe.training.batchSize > 1 { advice.append("a smaller training.batchSize") }
    throw JobError.tooLarge(needed: needed, limit: limit, advice: advice)
  }

  /// The figures in words.
  package var text: String {
    String(
      format: """
        parameters         %ld, %ld of them palettized, %.3f bits a weight
        one step           %.1f GFLOP, about %.2f s here
        the run            about %.0f s
        peak memory        about %.2f GiB of %.1f
        data               %@
        """, parameters, palettizedParameters, bitsPerWeight, Double(stepOperations) / 1e9,
      secondsPerStep, seconds, Double(peakMemoryBytes) / 1_073_741_824, Double(memoryBytes) / 1_073_741_824,
      data as NSString)
  }
}
