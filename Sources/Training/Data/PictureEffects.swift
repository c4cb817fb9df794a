internal import Clustering
internal import Foundation
internal import Kernels
internal import Recipes
internal import StableDiffusion
internal import Tensors

/// How much an error of the guided answer moves the picture, timestep by timestep, as it was measured.
///
/// At every position of a few trajectories of the full-precision network, the answer of post-training palettes takes the
/// place of its own, once; its own then lead to the end. What that moves the last latents, over the answer's squared
/// error, is what a squared error there should count.
struct PictureEffects: Sendable {
  /// Ascending by timestep.
  private let points: [(timestep: Double, logarithm: Double)]

  /// What a guided answer's squared error counts at a timestep, so that over all timesteps post-training palettes lose
  /// as much by guided answers as by their answers to prompts alone.
  func weight(at timestep: Int) -> Float {
    let place = Double(timestep)
    let upper = points.firstIndex { $0.timestep >= place } ?? points.count - 1
    let (a, b) = (points[max(0, upper - 1)], points[upper])
    let share = b.timestep > a.timestep ? min(1, max(0, (place - a.timestep) / (b.timestep - a.timestep))) : 1
    return Float(exp(a.logarithm + share * (b.logarithm - a.logarithm)))
  }

  /// Trajectories that are measured.
  private static let pictures = 4
  /// Rows of the network that are computed together.
  private static let rows = 32

  init(_ recipe: Recipe, _ inputs: RunInputs) throws {
    let weights = try HardWeights(postTraining: inputs.weights, recipe.clustering)
    let student = try UNet(weights.store(origin: recipe.model), inputs.unet.configuration)
    let batches = inputs.batches
    // Not those that are trained on.
    let trajectories = (0..<Self.pictures).map { batches.trajectory(-1 - $0) }
    let steps = trajectories[0].timesteps.count

    /// Answers with and without the prompt.
    typealias Answers = (conditional: Tensor, unconditional: Tensor)
    func answers(_ network: UNet, _ latents: [Tensor], at position: Int) -> [Answers] {
      latents.indices.cut(length: Self.rows / 2).flatMap { part in
        let batch = batches.batch(part.map { (trajectories[$0 % Self.pictures], position, latents[$0]) })
        let rows = network.outputs(batch, inputs.trainingStates[batch.prompts]).prediction
        return part.indices.map { index in
          let row = index - part.lowerBound
          return (rows.rows([row]), rows.rows([part.count + row]))
        }
      }
    }
    func next(_ latents: [Tensor], _ answers: [Answers], at position: Int) -> [Tensor] {
      latents.indices.map { index in
        trajectories[index % Self.pictures].next(
          latents[index], conditional: answers[index].conditional, unconditional: answers[index].unconditional,
          at: position, batches.schedule)
      }
    }
    func squares(_ x: Tensor, _ y: Tensor) -> Double { Elementwise.sumOfSquaredDifferences(x.buffer, y.buffer) }

    /// The undisturbed ones, then those that were disturbed at each position so far.
    var latents = trajectories.map(\.noise)
    var guided: [Double] = []
    var plain = 0.0
    try Execution.withoutGradients {
      for position in 0..<steps {
        let own = Array(latents.prefix(Self.pictures))
        let expected = answers(inputs.unet, latents, at: position)
        let found = answers(student, own, at: position)
        guided.append(
          own.indices.reduce(0) { sum, index in
            func mixed(_ answer: Answers) -> Tensor {
              trajectories[index].guided(answer.conditional, answer.unconditional)
            }
            return sum + squares(mixed(found[index]), mixed(expected[index]))
          })
        plain += own.indices.reduce(0) { $0 + squares(found[$1].conditional, expected[$1].conditional) }
        latents = next(latents, expected, at: position) + next(own, found, at: position)
      }
    }
    let effects = (0..<steps).map { position in
      (0..<Self.pictures).reduce(0) { $0 + squares(latents[(position + 1) * Self.pictures + $1], latents[$1]) }
    }
    let total = effects.reduce(0, +)
    let scale = total > 0 ? plain / total : 0
    points = (0..<steps).reversed().map { position in
      let timestep = trajectories.reduce(0) { $0 + Double($1.timesteps[position]) } / Double(Self.pictures)
      return (timestep, log(max(scale * effects[position] / max(guided[position], .leastNormalMagnitude), 1e-30)))
    }
  }
}
