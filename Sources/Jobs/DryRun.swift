internal import CoreMLExport
package import Foundation
internal import Kernels
internal import Layers
package import Recipes
internal import StableDiffusion
internal import Tensors
internal import Training

/// What a run would need, from the network's trace: nothing is loaded but `config.json` and the data's shapes.
package struct DryRun: Codable, Sendable {
  package let parameters: Int
  package let palettizedParameters: Int
  package let bitsPerWeight: Double
  /// Multiplications and additions of a forward pass of one sample.
  package let forwardOperations: Int
  /// Of a training step: forward and backward of the student, forward of the teacher.
  package let stepOperations: Int
  package let peakMemoryBytes: Int
  /// From a short measurement of this machine's matrix products.
  package let secondsPerStep: Double
  package let seconds: Double

  package init(_ recipe: Recipe, recipeFolder: URL) throws {
    let model = recipe.path(recipe.model, in: recipeFolder)
    let configuration = try UNetConfiguration(folder: model + "/unet")
    let dataset = try LatentDataset(
      path: recipe.path(recipe.data, in: recipeFolder), split: .validation, limit: 1)
    let latents = dataset.latents.shape
    let source = TraceParameters()
    let unet = try UNet(source, configuration)
    let batch = recipe.training.batchSize
    let trace = Trace(
      of: Execution.tracing {
        unet(
          .placeholder(
            named: "sample", shape: [batch, latents[2], latents[3], configuration.inputChannels]),
          timestep: .placeholder(named: "timestep", shape: [batch]),
          context: .placeholder(
            named: "context",
            shape: [batch, dataset.emptyCaption.count, configuration.contextFeatures[0]]))
      })
    let shapes = source.shapes
    parameters = shapes.values.reduce(0) { $0 + $1.count }
    palettizedParameters = shapes.reduce(0) { sum, weight in
      recipe.clustering.palette(of: weight.key, shape: weight.value.axes) == nil
        ? sum : sum + weight.value.count
    }
    let bits = try shapes.reduce(0) {
      $0 + (try recipe.clustering.storedBits(of: $1.key, shape: $1.value.axes))
    }
    bitsPerWeight = Double(bits) / Double(parameters)
    forwardOperations = trace.floatingPointOperations / batch
    let teacher = recipe.training.loss == .distillation ? 1 : 0
    let recomputed = recipe.training.recompute ? 1 : 0
    stepOperations = trace.floatingPointOperations * (3 + teacher + recomputed)
    let activations = trace.nodes.reduce(0) { $0 + $1.shape.count } * 4
    // Teacher, latent weights, two moments, gradients before and after the palettes, soft weights: seven copies.
    peakMemoryBytes =
      parameters * 4 * 7 + (recipe.training.recompute ? activations / 4 : activations * 3 / 2)
      + dataset.latents.shape.count * 4
    secondsPerStep = Double(stepOperations) / Self.operationsPerSecond()
    seconds = secondsPerStep * Double(recipe.training.steps)
  }

  /// A training step reaches about this share of the rate of one large matrix product.
  private static let shareOfProduct = 0.4

  private static func operationsPerSecond() -> Double {
    let (m, n, k) = (2048, 128, 1152)
    let a = Buffer(repeating: 0.5, count: m * k)
    let b = Buffer(repeating: 0.5, count: k * n)
    let c = Buffer(uninitialized: m * n)
    var best = Double.infinity
    for _ in 0..<5 {
      let started = ContinuousClock.now
      MatrixProduct.multiply(
        Matrix(a, stride: k), Matrix(b, stride: n), into: Matrix(c, stride: n), m: m, n: n, k: k)
      best = min(best, (ContinuousClock.now - started).seconds)
    }
    return Double(2 * m * n * k) / best * shareOfProduct
  }

  /// The figures in words.
  package var text: String {
    String(
      format: """
        parameters         %d, %d of them palettized, %.3f bits a weight
        one step           %.1f GFLOP, about %.2f s here
        the run            about %.0f s
        peak memory        about %.2f GiB
        """, parameters, palettizedParameters, bitsPerWeight, Double(stepOperations) / 1e9,
      secondsPerStep, seconds, Double(peakMemoryBytes) / 1_073_741_824)
  }
}
