internal import Clustering
internal import Foundation
internal import Kernels
internal import Layers
internal import Recipes
internal import StableDiffusion
internal import Tensors

/// From which timesteps training draws: a distribution, given by its inverse.
package enum TimestepSampling: Sendable {
  case uniform
  /// Cumulative shares of equally wide intervals of timesteps, ascending to 1.
  case intervals([Double])

  /// The timestep below which a share `u` in [0, 1) of all samples lies.
  package func timestep(at u: Float, of count: Int) -> Int {
    switch self {
    case .uniform: return min(count - 1, Int(u * Float(count)))
    case .intervals(let cumulative):
      let share = Double(u)
      let interval = cumulative.firstIndex { $0 > share } ?? cumulative.count - 1
      let start = interval == 0 ? 0 : cumulative[interval - 1]
      let width = cumulative[interval] - start
      let place = Double(interval) + (width > 0 ? (share - start) / width : 0)
      return min(count - 1, Int(place / Double(cumulative.count) * Double(count)))
    }
  }

  /// - Parameter masses: of equally wide intervals, not negative and not all zero.
  package init(masses: [Double]) {
    let total = masses.reduce(0, +)
    precondition(total > 0, "timesteps: no interval has any mass")
    var sum = 0.0
    var cumulative = masses.map { mass -> Double in
      sum += mass / total
      return sum
    }
    cumulative[cumulative.count - 1] = 1
    self = .intervals(cumulative)
  }

  /// The density of Beta(α, β) at the middle of each of 1000 intervals.
  package static func beta(_ alpha: Double, _ beta: Double) -> TimestepSampling {
    TimestepSampling(
      masses: (0..<1000).map { index in
        let x = (Double(index) + 0.5) / 1000
        return exp((alpha - 1) * log(x) + (beta - 1) * log(1 - x))
      })
  }

  /// What the recipe asks for; the losses of post-training palettes are measured if it asks for them.
  init(_ recipe: Recipe, _ inputs: RunInputs) throws {
    let timesteps = recipe.training.timesteps
    switch timesteps.distribution {
    case .uniform: self = .uniform
    case .beta: self = .beta(timesteps.alpha, timesteps.beta)
    case .error:
      let errors = try Self.errors(recipe, inputs)
      let mean = errors.reduce(0, +) / Double(errors.count)
      self.init(masses: errors.map { 0.5 + (mean > 0 ? 0.5 * $0 / mean : 0) })
    }
  }

  /// The mean squared distance that post-training palettes put between student and teacher, in each of ten intervals.
  private static func errors(_ recipe: Recipe, _ inputs: RunInputs) throws -> [Double] {
    let weights = try HardWeights(postTraining: inputs.weights, recipe.clustering)
    let student = try UNet(weights.store(origin: recipe.model), inputs.unet.configuration)
    return try (0..<10).map { interval in
      let sampling = TimestepSampling(masses: (0..<10).map { $0 == interval ? 1 : 0 })
      let batch = try inputs.batches.batch(of: interval, sampling)
      let text = inputs.trainingStates[batch.prompts]
      return Execution.withoutGradients {
        let found = student.outputs(batch, text).prediction
        let expected = inputs.unet.outputs(batch, text).prediction
        return Elementwise.sumOfSquaredDifferences(found.buffer, expected.buffer) / Double(found.shape.count)
      }
    }
  }
}
