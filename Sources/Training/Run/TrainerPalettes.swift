internal import Clustering
internal import Distribution
internal import Kernels
internal import Layers
internal import Recipes
package import StableDiffusion
internal import Tensors

extension Trainer {
  /// The palettes of a step, prepared weight by weight on all cores.
  func palettes(of state: RunState, in phase: TrainingPhase) throws -> [String: StepPalette] {
    let names = state.palettized
    let prepared = Parallel.map(names.count) { index in
      Result { try palette(names[index], state, phase) }
    }
    var palettes: [String: StepPalette] = [:]
    for (name, result) in zip(names, prepared) {
      do {
        palettes[name] = try result.get()
      } catch {
        throw TrainingError.diverged(step: state.step, place: "the palette of '\(name)'", reason: "\(error)")
      }
    }
    return palettes
  }

  private func palette(
    _ name: String, _ state: RunState, _ phase: TrainingPhase
  ) throws -> StepPalette {
    guard let (_, weights) = state.parameters[name], let centroids = state.centroids[name],
      let palette = self.weights.palettes[name]
    else { preconditionFailure("palette of \(name), which has none") }
    defer { weights.letGo() }
    let elements = PaletteElements(weights, palette.form, palette.layout, scale: state.scales[name])
    return StepPalette(
      weights: weights, elements: elements,
      clustering: try state.frozen[name].map { .frozen($0) }
        ?? StepPalette.Clustering(elements, centroids, recipe.clustering, phase),
      keepsZeros: palette.prune > 0, learnsEntries: recipe.clustering.gradient == .straightThrough)
  }

  /// The weights that layers compute with.
  ///
  /// Alone, palettes give them whenever they are used; several ranks send each other those of their own, once.
  func layerWeights(
    _ state: RunState, _ palettes: [String: StepPalette], _ time: PaletteTime = PaletteTime()
  ) throws -> any ParameterSource {
    guard ranks.count > 1 else {
      let store = ParameterStore(state.parameters, origin: recipe.model)
      return ClusteredParameters(store: store, palettes: palettes, time: time)
    }
    let buffers = try ranks.exchange(weights.ownership) { name in
      guard let latent = state.parameters[name]?.buffer else { preconditionFailure("\(name) without elements") }
      return palettes[name].map { palette in time.counting { palette.layerWeights() } } ?? latent
    }
    let all = buffers.map { name, buffer in (name, (shape: weights.shapes[name] ?? [], buffer: buffer)) }
    return ParameterStore(Dictionary(uniqueKeysWithValues: all), origin: recipe.model)
  }

  /// The network of a state with its palettes as soft as at the end of their annealing.
  package func softNetwork(_ state: RunState) throws -> UNet {
    var state = state
    state.frozen = [:]
    let palettes = try palettes(
      of: state, in: .soft(temperature: recipe.clustering.temperature.end))
    return try UNet(try layerWeights(state, palettes), configuration)
  }

  /// Fixes every weight's index, and makes the entries what is trained.
  func freeze(_ state: inout RunState) throws {
    for (name, palette) in try palettes(of: state, in: .hard) {
      defer { palette.weights.letGo() }
      guard let indices = palette.indices, let centroids = state.centroids[name] else { continue }
      let form = palette.elements.form
      let table = Buffer(
        form.enforcesZero
          ? StoredEntries.pinned(centroids, groups: palette.elements.layout.groups, vector: form.vector)
          : centroids)
      state.frozen[name] = .init(table: table, indices: indices)
      state.moments[RunState.tableKey(name)] = AdamW.Moments(count: table.count)
    }
    // What stays as it was is trained on with fresh moments, since the loss is now another one.
    for name in state.parameters.keys where state.centroids[name] == nil {
      state.moments[name] = AdamW.Moments(
        count: state.parameters[name]?.shape.count ?? 0, recipe.training.moments)
    }
    for (name, scale) in state.scales {
      state.moments[RunState.scaleKey(name)] = AdamW.Moments(count: scale.count)
    }
  }
}
