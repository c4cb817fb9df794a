package import Checkpoints
package import Clustering
package import Files
internal import Foundation
internal import Kernels
package import Recipes
internal import Tensors

/// A run's state as a checkpoint file (`docs/checkpoint-format.md`).
package enum RunCheckpoint {
  /// What a checkpoint holds beside the state.
  package struct Contents: Sendable {
    package let recipe: Recipe
    package let state: RunState
    /// The weights as exported; only in the last checkpoint of a run.
    package let hard: HardWeights?
    /// What a package must know; nil in checkpoints of earlier versions.
    package let geometry: RunGeometry?

    package init(recipe: Recipe, state: RunState, hard: HardWeights?, geometry: RunGeometry?) {
      self.recipe = recipe
      self.state = state
      self.hard = hard
      self.geometry = geometry
    }
  }

  package static func write(_ contents: Contents, to path: String) throws(FileError) {
    let state = contents.state
    var arrays = arrays(of: state)
    arrays.add(state.losses)
    if let hard = contents.hard { PaletteArrays.add(hard, to: &arrays) }
    var attributes: [String: AttributeValue] = [
      "recipe": .string(String(decoding: contents.recipe.encoded(), as: UTF8.self)),
      "seed": .string("\(contents.recipe.seed)"),
      "step": .integer(state.step),
      "temperature": .double(contents.recipe.temperature(at: state.step)),
      "finished": .integer(contents.hard == nil ? 0 : 1),
    ]
    if state.rateScale != 1 { attributes["rateScale"] = .double(state.rateScale) }
    if let geometry = contents.geometry, let json = try? JSONEncoder.sorted.encode(geometry) {
      attributes["geometry"] = .string(String(decoding: json, as: UTF8.self))
    }
    try CheckpointFile.write(
      CheckpointContents(attributes: attributes, arrays: arrays), to: path)
  }

  /// All that a state keeps of single weights and samplers.
  static func arrays(of state: RunState) -> [String: CheckpointArray] {
    var arrays: [String: CheckpointArray] = [:]
    arrays.add(state.parameters, under: "parameters")
    arrays.add(state.moments, of: state.parameters)
    for (name, centroids) in state.centroids {
      arrays["centroids/\(name)"] = CheckpointArray(Buffer(centroids), shape: [centroids.count])
    }
    for (name, scale) in state.scales {
      arrays["scales/\(name)"] = CheckpointArray(scale, shape: [scale.count])
    }
    for (name, frozen) in state.frozen {
      arrays["frozen/tables/\(name)"] = CheckpointArray(frozen.table, shape: [frozen.table.count])
      arrays["frozen/indices/\(name)"] = CheckpointArray(
        shape: [frozen.indices.count], .bytes(frozen.indices))
    }
    for (number, latents) in state.samplers {
      arrays["samplers/\(number)"] = CheckpointArray(latents.buffer, shape: latents.shape.axes)
    }
    return arrays
  }

  /// - Parameter scratch: where weights and moments are kept; nil for memory.
  package static func read(_ path: String, keepingIn scratch: ScratchFile? = nil) throws -> Contents {
    let contents = try CheckpointFile.read(from: path, keepingIn: scratch)
    guard case .string(let json) = contents.attributes["recipe"],
      case .integer(let step) = contents.attributes["step"], step >= 0
    else {
      throw FileError.missing(file: path, item: "recipe and step of an sdtune run")
    }
    let recipe = try StrictDecoding.decode(Recipe.self, from: Data(json.utf8), file: path)
    try recipe.validate()
    let arrays = StateArrays(path: path, arrays: contents.arrays)
    let palettes = PaletteArrays(arrays: arrays, recipe: recipe)
    var state = try palettes.state(
      step: step, parameters: try arrays.parameters("parameters"), losses: try arrays.losses(steps: step))
    state.samplers = try arrays.samplers()
    if case .double(let scale) = contents.attributes["rateScale"], scale > 0, scale < 1 { state.rateScale = scale }
    var geometry: RunGeometry?
    if case .string(let json) = contents.attributes["geometry"] {
      geometry = try? JSONDecoder().decode(RunGeometry.self, from: Data(json.utf8))
    }
    return Contents(
      recipe: recipe, state: state, hard: try palettes.hard(state.parameters), geometry: geometry)
  }
}

extension JSONEncoder {
  /// Equal values give equal bytes.
  static var sorted: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }
}

extension Recipe {
  /// The relative temperature of a step; zero once palettes are hard.
  fileprivate func temperature(at step: Int) -> Double {
    if case .soft(let temperature) = phase(at: step) { temperature } else { 0 }
  }
}
