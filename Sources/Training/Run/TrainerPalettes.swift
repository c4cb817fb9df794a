internal import Clustering
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
        throw TrainingError.diverged(weight: name, step: state.step, reason: "\(error)")
      }
    }
    return palettes
  }

  private func palette(
    _ name: String, _ state: RunState, _ phase: TrainingPhase
  ) throws -> StepPalette {
    guard let weights = state.parameters[name]?.buffer, let centroids = state.centroids[name] else {
      preconditionFailure("palette of \(name), which has no weights")
    }
    if let frozen = state.frozen[name] {
      return .frozen(table: frozen.table, indices: frozen.indices)
    }
    guard case .soft(let multiple) = phase else {
      return .hard(try HardClustering(weights: weights, centroids: centroids))
    }
    let mean = Elementwise.sum(weights) / Double(weights.count)
    let variance = max(0, Elementwise.sumOfSquares(weights) / Double(weights.count) - mean * mean)
    let clustering = recipe.clustering
    let options = ClusteringOptions(
      bits: clustering.bits(of: name, shape: state.parameters[name]?.shape.axes ?? []),
      temperature: Temperature.relative(multiple, variance: variance),
      iterations: clustering.iterations, gradient: clustering.gradient.method,
      maximumGain: clustering.maximumGain)
    return .soft(try SoftClustering(weights: weights, centroids: centroids, options: options))
  }

  /// The network of a state with its palettes as soft as at the end of their annealing.
  package func softNetwork(_ state: RunState) throws -> UNet {
    var state = state
    state.frozen = [:]
    let palettes = try palettes(
      of: state, in: .soft(temperature: recipe.clustering.temperature.end))
    let store = ParameterStore(state.parameters, origin: recipe.model)
    return try UNet(ClusteredParameters(store: store, palettes: palettes), configuration)
  }

  /// Fixes every weight's index, and makes the entries what is trained.
  func freeze(_ state: inout RunState) throws {
    for (name, palette) in try palettes(of: state, in: .hard) {
      guard case .hard(let clustering) = palette, let centroids = state.centroids[name] else {
        continue
      }
      let table = Buffer(centroids)
      state.frozen[name] = .init(table: table, indices: clustering.indices)
      state.moments[RunState.tableKey(name)] = AdamW.Moments(count: table.count)
    }
    // What stays as it was is trained on with fresh moments, since the loss is now another one.
    for name in state.parameters.keys where state.centroids[name] == nil {
      state.moments[name] = AdamW.Moments(
        count: state.parameters[name]?.shape.count ?? 0, recipe.training.moments)
    }
  }
}

extension RunState {
  /// Names of all that is trained, palettized weights first: the weights themselves, or their entries once frozen.
  var trainable: [String] {
    palettized + parameters.keys.filter { centroids[$0] == nil }.sorted()
  }

  /// The array that the optimizer steps for a weight, and its moments.
  func target(of name: String) -> (parameter: Buffer, moments: AdamW.Moments) {
    if let frozen = frozen[name], let moments = moments[Self.tableKey(name)] {
      return (frozen.table, moments)
    }
    guard let parameter = parameters[name]?.buffer, let moments = moments[name] else {
      preconditionFailure("nothing to train under \(name)")
    }
    return (parameter, moments)
  }
}

extension ClusteringRecipe.Gradient {
  fileprivate var method: ClusteringOptions.Gradient {
    switch self {
    case .unrolled: .unrolled
    case .implicit: .implicit
    case .straightThrough: .straightThrough
    }
  }
}
