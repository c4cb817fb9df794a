internal import Checkpoints
internal import Files
internal import Foundation
internal import Kernels
package import Layers
package import Recipes
package import Tensors

/// Everything that training from scratch carries from one step to the next.
///
/// Parameters of UNet and text encoder stand side by side: their names differ.
package struct PretrainingState: Sendable {
  /// Steps done.
  package var step: Int
  /// Weights in 32 bits; the optimizer updates them in place.
  package let parameters: NamedArrays
  /// Their exponential moving averages: what the run ends with.
  package let averages: NamedArrays
  let moments: [String: AdamW.Moments]
  package var losses: [RunState.StepLoss]

  /// The state before the first step.
  package init(_ networks: [ParameterStore], moments precision: TrainingRecipe.Moments) {
    var parameters: NamedArrays = [:]
    for network in networks {
      for name in network.names {
        guard let shape = network.shape(of: name), let buffer = network.buffer(name) else { continue }
        precondition(parameters[name] == nil, "two networks with a weight \(name)")
        parameters[name] = (shape, buffer)
      }
    }
    step = 0
    self.parameters = parameters
    averages = parameters.mapValues { ($0.shape, Buffer($0.buffer.elements)) }
    moments = parameters.mapValues { AdamW.Moments(count: $0.shape.count, precision) }
    losses = []
  }

  /// Moves the averages toward the weights: `average += (1 − decay) (weight − average)`.
  func follow(decay: Double) {
    let pairs = parameters.compactMap { name, weight in averages[name].map { (weight.buffer, $0.buffer) } }
    Parallel.forEach(pairs.count) { index in
      let (weight, average) = pairs[index]
      let difference = Buffer(uninitialized: weight.count)
      Elementwise.combine(weight, .subtract, average, into: difference)
      Elementwise.accumulate(difference, by: Float(1 - decay), into: average)
    }
  }

  package func write(_ recipe: PretrainingRecipe, to path: String) throws {
    var arrays: [String: CheckpointArray] = [:]
    arrays.add(parameters, under: "parameters")
    arrays.add(averages, under: "averages")
    arrays.add(moments, of: parameters)
    arrays.add(losses)
    let attributes: [String: AttributeValue] = [
      "pretraining": .string(String(decoding: recipe.encoded(), as: UTF8.self)),
      "step": .integer(step), "finished": .integer(step < recipe.training.steps ? 0 : 1),
    ]
    try CheckpointFile.write(CheckpointContents(attributes: attributes, arrays: arrays), to: path)
  }

  /// - Throws: if the file is damaged, or of another recipe.
  package init(resuming recipe: PretrainingRecipe, from path: String) throws {
    let stored = try Self.read(path)
    guard stored.recipe == recipe else {
      throw TrainingError.otherRecipe(file: path, difference: stored.recipe.difference(from: recipe))
    }
    self = stored.state
  }

  /// A checkpoint, whatever recipe it is of.
  package static func read(_ path: String) throws -> (recipe: PretrainingRecipe, state: PretrainingState) {
    let contents = try CheckpointFile.read(from: path)
    guard case .string(let json) = contents.attributes["pretraining"],
      case .integer(let step) = contents.attributes["step"], step >= 0
    else { throw FileError.missing(file: path, item: "recipe and step of `sdtune train`") }
    let recipe = try StrictDecoding.decode(PretrainingRecipe.self, from: Data(json.utf8), file: path)
    let arrays = StateArrays(path: path, arrays: contents.arrays)
    return (recipe, try PretrainingState(recipe, step: step, arrays, file: path))
  }

  private init(_ recipe: PretrainingRecipe, step: Int, _ arrays: StateArrays, file path: String) throws {
    self.step = step
    parameters = try arrays.parameters("parameters")
    averages = try arrays.parameters("averages")
    moments = try arrays.moments(recipe.training.moments, of: parameters)
    losses = try arrays.losses(steps: step)
    guard averages.count == parameters.count, moments.count == parameters.count,
      parameters.allSatisfy({ averages[$0]?.shape == $1.shape && moments[$0]?.count == $1.shape.count })
    else {
      throw FileError.malformedItem(
        file: path, item: "averages and moments", expected: "those of every parameter",
        found: "\(averages.count) and \(moments.count) of \(parameters.count)")
    }
  }
}
