package import Clustering
internal import Kernels
package import Layers
package import Recipes
internal import Tensors

extension HardWeights {
  /// Post-training palettes: exact one-dimensional k-means of every weight, or what was chosen before (no training).
  ///
  /// - Parameter calibrated: palettes that are already chosen (``Calibration``).
  package init(
    postTraining weights: ParameterStore, _ clustering: ClusteringRecipe,
    calibrated: [String: PalettizedTensor] = [:]
  ) throws {
    let names = weights.names
    let tensors = Parallel.map(names.count) { index -> Result<Weight, any Error> in
      let name = names[index]
      return Result {
        if let palettized = calibrated[name] { return .palettized(palettized) }
        guard let shape = weights.shape(of: name), let buffer = try weights.halfPrecisionBuffer(name) else {
          preconditionFailure("weight \(name) without elements")
        }
        guard let palette = WeightPalette(clustering, name, shape: shape.axes) else {
          return .half(HalfPrecision.rounded(buffer))
        }
        let kept = palette.pruned(buffer)
        let elements = PaletteElements(
          kept, palette.form, palette.layout, scale: palette.startingScale(kept))
        return .palettized(try elements.palettized(elements.optimalTable()))
      }
    }
    try self.init(weights.names, tensors) { weights.shape(of: $0) }
  }

  /// The weights that training has arrived at: a last refit of the palettes, or the trained entries once frozen.
  package init(_ state: RunState, _ clustering: ClusteringRecipe) throws {
    let names = state.parameters.keys.sorted()
    let tensors = Parallel.map(names.count) { index in
      Result { try Self.harden(names[index], state, clustering) }
    }
    try self.init(names, tensors) { state.parameters[$0]?.shape }
  }

  private init(
    _ names: [String], _ tensors: [Result<Weight, any Error>], shape: (String) -> Shape?
  ) throws {
    var weights: [String: Weight] = [:]
    var shapes: [String: [Int]] = [:]
    for (name, tensor) in zip(names, tensors) {
      weights[name] = try tensor.get()
      shapes[name] = shape(name)?.axes ?? []
    }
    self.init(shapes: shapes, weights: weights)
  }

  private static func harden(
    _ name: String, _ state: RunState, _ clustering: ClusteringRecipe
  ) throws -> Weight {
    guard let (shape, buffer) = state.parameters[name] else {
      preconditionFailure("weight \(name) without elements")
    }
    defer { buffer.letGo() }
    guard let centroids = state.centroids[name],
      let palette = WeightPalette(clustering, name, shape: shape.axes)
    else { return .half(HalfPrecision.rounded(buffer)) }
    let elements = PaletteElements(buffer, palette.form, palette.layout, scale: state.scales[name])
    if let frozen = state.frozen[name] {
      return .palettized(elements.palettized(frozen.table.elements, indices: frozen.indices))
    }
    // Learned entries, and those that heed sensitivities, are what training ended with; others are the means of their
    // cells.
    let keepsEntries = clustering.gradient == .straightThrough || clustering.start == .fisher
    return .palettized(try elements.palettized(centroids, rounds: keepsEntries ? 0 : 5))
  }

  /// The weights for the training engine, widened to 32 bits whenever they are used.
  package func store(origin: String) -> ParameterStore {
    let stored = Dictionary(
      uniqueKeysWithValues: weights.map { name, weight in
        (name, (shape: Shape(shapes[name] ?? []), read: { @Sendable in WeightElements(weight.decoded) }))
      })
    return ParameterStore([:], stored: stored, origin: origin)
  }
}
