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
    for (name, parameter) in state.parameters {
      arrays["parameters/\(name)"] = CheckpointArray(
        parameter.buffer, shape: parameter.shape.axes)
    }
    for (name, moments) in state.moments {
      let shape = state.parameters[name]?.shape.axes ?? [moments.mean.count]
      arrays["moments/mean/\(name)"] = CheckpointArray(moments.mean, shape: shape)
      arrays["moments/variance/\(name)"] = CheckpointArray(moments.variance, shape: shape)
    }
    for (name, centroids) in state.centroids {
      arrays["centroids/\(name)"] = CheckpointArray(Buffer(centroids), shape: [centroids.count])
    }
    for (name, frozen) in state.frozen {
      arrays["frozen/tables/\(name)"] = CheckpointArray(frozen.table, shape: [frozen.table.count])
      arrays["frozen/indices/\(name)"] = CheckpointArray(
        shape: state.parameters[name]?.shape.axes ?? [frozen.indices.count],
        .bytes(frozen.indices))
    }
    arrays["losses/loss"] = CheckpointArray(
      shape: [state.losses.count], .doubles(state.losses.map(\.loss)))
    arrays["losses/gradient_norm"] = CheckpointArray(
      shape: [state.losses.count], .doubles(state.losses.map(\.gradientNorm)))
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
    let reader = Reader(path: path, arrays: contents.arrays)
    return Contents(
      recipe: recipe, state: try reader.state(step: step), hard: try reader.hard(recipe))
  }

  /// Arrays by group, checked as they are taken.
  private struct Reader {
    let path: String
    let arrays: [String: CheckpointArray]

    func names(in group: String) -> [String] {
      arrays.keys.filter { $0.hasPrefix(group + "/") }.map { String($0.dropFirst(group.count + 1)) }
        .sorted()
    }

    func floats(_ name: String, count: Int? = nil) throws(CheckpointError) -> Buffer {
      guard let buffer = arrays[name]?.floats else {
        throw .missing(file: path, item: "array of floats '\(name)'")
      }
      guard buffer.count == count ?? buffer.count else {
        throw .malformedItem(
          file: path, item: name, expected: "\(count ?? 0) numbers", found: "\(buffer.count)")
      }
      return buffer
    }

    func bytes(_ name: String, count: Int) throws(CheckpointError) -> [UInt8] {
      guard let bytes = arrays[name]?.bytes, bytes.count == count else {
        throw .malformedItem(
          file: path, item: name, expected: "\(count) bytes",
          found: arrays[name].map { "\($0.count) values" } ?? "nothing")
      }
      return bytes
    }

    func state(step: Int) throws(CheckpointError) -> RunState {
      var parameters: [String: (shape: Shape, buffer: Buffer)] = [:]
      for name in names(in: "parameters") {
        let key = "parameters/\(name)"
        parameters[name] = (Shape(arrays[key]?.shape ?? []), try floats(key))
      }
      var moments: [String: AdamW.Moments] = [:]
      for name in names(in: "moments/mean") {
        let mean = try floats("moments/mean/\(name)")
        moments[name] = AdamW.Moments(
          mean: mean, variance: try floats("moments/variance/\(name)", count: mean.count))
      }
      var centroids: [String: [Float]] = [:]
      for name in names(in: "centroids") {
        centroids[name] = try floats("centroids/\(name)").elements
      }
      var frozen: [String: RunState.FrozenPalette] = [:]
      for name in names(in: "frozen/tables") {
        frozen[name] = RunState.FrozenPalette(
          table: try floats("frozen/tables/\(name)"),
          indices: try bytes(
            "frozen/indices/\(name)", count: parameters[name]?.shape.count ?? -1))
      }
      return RunState(
        step: step, parameters: parameters, moments: moments, centroids: centroids,
        frozen: frozen, losses: try losses(step))
    }

    private func losses(_ step: Int) throws(CheckpointError) -> [RunState.StepLoss] {
      guard let loss = arrays["losses/loss"]?.doubles,
        let norm = arrays["losses/gradient_norm"]?.doubles, loss.count == step,
        norm.count == step
      else {
        throw .malformedItem(
          file: path, item: "losses", expected: "\(step) steps", found: "another number")
      }
      return zip(loss, norm).map { RunState.StepLoss(loss: $0, gradientNorm: $1) }
    }

    func hard(_ recipe: Recipe) throws(CheckpointError) -> HardWeights? {
      let halves = names(in: "hard/values")
      let palettes = names(in: "hard/tables")
      guard !halves.isEmpty || !palettes.isEmpty else { return nil }
      var shapes: [String: [Int]] = [:]
      var weights: [String: HardWeights.Weight] = [:]
      for name in halves {
        shapes[name] = arrays["hard/values/\(name)"]?.shape
        weights[name] = .half(try floats("hard/values/\(name)"))
      }
      for name in palettes {
        let shape = arrays["hard/indices/\(name)"]?.shape ?? []
        let table = try floats("hard/tables/\(name)")
        let bits = table.count.trailingZeroBitCount
        let entries = arrays["hard/entries/\(name)"]?.integers?.first ?? -1
        let indices = try bytes("hard/indices/\(name)", count: shape.reduce(1, *))
        guard table.count == 1 << bits, (1...8).contains(bits), (0...table.count) ~= entries,
          indices.allSatisfy({ Int($0) < table.count })
        else {
          throw .malformedItem(
            file: path, item: "hard/tables/\(name)", expected: "a palette of 2 to 256 entries",
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
