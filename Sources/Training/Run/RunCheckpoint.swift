package import Checkpoints
package import Clustering
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

    package init(recipe: Recipe, state: RunState, hard: HardWeights?) {
      self.recipe = recipe
      self.state = state
      self.hard = hard
    }
  }

  package static func write(_ contents: Contents, to path: String) throws(CheckpointError) {
    let state = contents.state
    var arrays: [String: CheckpointArray] = [:]
    arrays.add(state.parameters, under: "parameters")
    arrays.add(state.moments, of: state.parameters)
    arrays.add(state.losses)
    for (name, centroids) in state.centroids {
      arrays["centroids/\(name)"] = CheckpointArray(Buffer(centroids), shape: [centroids.count])
    }
    for (name, frozen) in state.frozen {
      arrays["frozen/tables/\(name)"] = CheckpointArray(frozen.table, shape: [frozen.table.count])
      arrays["frozen/indices/\(name)"] = CheckpointArray(
        shape: state.parameters[name]?.shape.axes ?? [frozen.indices.count],
        .bytes(frozen.indices))
    }
    if let hard = contents.hard { add(hard, to: &arrays) }
    let attributes: [String: AttributeValue] = [
      "recipe": .string(String(decoding: contents.recipe.encoded(), as: UTF8.self)),
      "seed": .string("\(contents.recipe.seed)"),
      "step": .integer(state.step),
      "temperature": .double(contents.recipe.temperature(at: state.step)),
      "finished": .integer(contents.hard == nil ? 0 : 1),
    ]
    try CheckpointFile.write(
      CheckpointContents(attributes: attributes, arrays: arrays), to: path)
  }

  private static func add(_ hard: HardWeights, to arrays: inout [String: CheckpointArray]) {
    for (name, weight) in hard.weights {
      let shape = hard.shapes[name] ?? []
      switch weight {
      case .half(let buffer):
        arrays["hard/values/\(name)"] = CheckpointArray(buffer, shape: shape)
      case .palettized(let tensor):
        arrays["hard/indices/\(name)"] = CheckpointArray(shape: shape, .bytes(tensor.indices))
        arrays["hard/tables/\(name)"] = CheckpointArray(
          HalfPrecision.decode(tensor.table), shape: [tensor.table.count])
        arrays["hard/entries/\(name)"] = CheckpointArray(shape: [], .integers([tensor.entries]))
      }
    }
  }

  package static func read(_ path: String) throws -> Contents {
    let contents = try CheckpointFile.read(from: path)
    guard case .string(let json) = contents.attributes["recipe"],
      case .integer(let step) = contents.attributes["step"], step >= 0
    else {
      throw CheckpointError.missing(file: path, item: "recipe and step of an sdtune run")
    }
    let recipe = try StrictDecoding.decode(Recipe.self, from: Data(json.utf8), file: path)
    try recipe.validate()
    let reader = Reader(arrays: StateArrays(path: path, arrays: contents.arrays))
    return Contents(
      recipe: recipe, state: try reader.state(step: step, recipe.training.moments), hard: try reader.hard(recipe))
  }

  /// Reads a run's state.
  private struct Reader {
    let arrays: StateArrays

    func state(step: Int, _ precision: TrainingRecipe.Moments) throws(CheckpointError) -> RunState {
      let parameters = try arrays.parameters("parameters")
      var centroids: [String: [Float]] = [:]
      for name in arrays.names(in: "centroids") {
        centroids[name] = try arrays.floats("centroids/\(name)").elements
      }
      var frozen: [String: RunState.FrozenPalette] = [:]
      for name in arrays.names(in: "frozen/tables") {
        frozen[name] = RunState.FrozenPalette(
          table: try arrays.floats("frozen/tables/\(name)"),
          indices: try arrays.bytes(
            "frozen/indices/\(name)", count: parameters[name]?.shape.count ?? -1))
      }
      return RunState(
        step: step, parameters: parameters, moments: try arrays.moments(precision, of: parameters),
        centroids: centroids, frozen: frozen, losses: try arrays.losses(steps: step))
    }

    func hard(_ recipe: Recipe) throws(CheckpointError) -> HardWeights? {
      let halves = arrays.names(in: "hard/values")
      let palettes = arrays.names(in: "hard/tables")
      guard !halves.isEmpty || !palettes.isEmpty else { return nil }
      var shapes: [String: [Int]] = [:]
      var weights: [String: HardWeights.Weight] = [:]
      for name in halves {
        shapes[name] = arrays["hard/values/\(name)"]?.shape
        weights[name] = .half(try arrays.floats("hard/values/\(name)"))
      }
      for name in palettes {
        let shape = arrays["hard/indices/\(name)"]?.shape ?? []
        let table = try arrays.floats("hard/tables/\(name)")
        let bits = table.count.trailingZeroBitCount
        let entries = arrays["hard/entries/\(name)"]?.integers?.first ?? -1
        let indices = try arrays.bytes("hard/indices/\(name)", count: shape.reduce(1, *))
        guard table.count == 1 << bits, (1...8).contains(bits), (0...table.count) ~= entries,
          indices.allSatisfy({ Int($0) < table.count })
        else {
          throw .malformedItem(
            file: arrays.path, item: "hard/tables/\(name)", expected: "a palette of 2 to 256 entries",
            found: "\(table.count) entries, \(entries) in use")
        }
        shapes[name] = shape
        weights[name] = .palettized(
          PalettizedTensor(
            shape: shape, bits: bits, table: HalfPrecision.encode(table), entries: entries,
            indices: indices))
      }
      return HardWeights(shapes: shapes, weights: weights)
    }
  }
}

extension Recipe {
  /// The relative temperature of a step; zero once palettes are hard.
  fileprivate func temperature(at step: Int) -> Double {
    if case .soft(let temperature) = phase(at: step) { temperature } else { 0 }
  }
}
