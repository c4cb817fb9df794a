internal import Checkpoints
internal import Clustering
internal import Kernels
internal import Layers
internal import Recipes
internal import Tensors

extension RunState {
  /// The state before the first step: a copy of the model's weights, optimal palettes, zero moments; where palettes are
  /// calibrated, weights start at their entries.
  ///
  /// - Parameters:
  ///   - owned: names of the weights that it is to hold.
  ///   - sensitivities: of the elements of each weight, for palettes that heed them.
  ///   - calibrated: palettes to start from, where they are already chosen.
  ///   - scratch: where weights and moments are kept; nil for memory.
  init(
    _ weights: ParameterStore, _ recipe: Recipe, owned: Set<String>, sensitivities: [String: Buffer] = [:],
    calibrated: [String: PalettizedTensor] = [:], scratch: ScratchFile? = nil
  ) throws {
    let names = weights.names.filter(owned.contains)
    let started = try Parallel.map(names.count) { index in
      Result {
        try Start(names[index], weights, recipe, sensitivities[names[index]], calibrated[names[index]], scratch)
      }
    }.map { try $0.get() }
    var parameters: NamedArrays = [:]
    var moments: [String: AdamW.Moments] = [:]
    var centroids: [String: [Float]] = [:]
    var scales: [String: Buffer] = [:]
    for (name, start) in zip(names, started) {
      parameters[name] = (start.shape, start.weights)
      moments[name] = start.moments
      centroids[name] = start.centroids
      scales[name] = start.scale
      if let scale = start.scale { moments[Self.scaleKey(name)] = AdamW.Moments(count: scale.count) }
      if let table = start.centroids, recipe.clustering.gradient == .straightThrough {
        moments[Self.tableKey(name)] = AdamW.Moments(count: table.count)
      }
    }
    self.init(
      step: 0, parameters: parameters, moments: moments, centroids: centroids, scales: scales,
      frozen: [:], losses: [])
  }

  /// One weight before the first step.
  private struct Start: Sendable {
    let shape: Shape
    let weights: Buffer
    let moments: AdamW.Moments
    var centroids: [Float]?
    var scale: Buffer?

    init(
      _ name: String, _ store: ParameterStore, _ recipe: Recipe, _ sensitivities: Buffer?,
      _ calibrated: PalettizedTensor?, _ scratch: ScratchFile?
    ) throws {
      // What no package can hold should be known before the training, not after it.
      guard let shape = store.shape(of: name), let original = try store.halfPrecisionBuffer(name) else {
        preconditionFailure("weight \(name) without elements")
      }
      self.shape = shape
      moments = try AdamW.Moments(count: original.count, recipe.training.moments).kept(in: scratch)
      let copy = Buffer(uninitialized: original.count)
      copy.copy(from: original, 0..<original.count, at: 0)
      let palette = WeightPalette(recipe.clustering, name, shape: shape.axes)
      let pruned = palette?.pruned(copy) ?? copy
      let kept = calibrated.map { Self.weights(at: $0, pruned, keepsZeros: palette?.prune ?? 0 > 0) } ?? pruned
      weights = try scratch?.keep(kept) ?? kept
      guard let palette else { return }
      defer { weights.letGo() }
      if let calibrated {
        scale = calibrated.scale.map { Buffer($0.map { HalfPrecision.decode($0) }) }
        centroids = calibrated.namedEntries
        return
      }
      scale = palette.startingScale(weights)
      centroids = try PaletteElements(weights, palette.form, palette.layout, scale: scale)
        .optimalTable(sensitivities: sensitivities)
    }

    /// Entries, but where zeros are to stay zeros: what is not pruned must not become one.
    private static func weights(at palettized: PalettizedTensor, _ pruned: Buffer, keepsZeros: Bool) -> Buffer {
      let entries = palettized.decoded()
      guard keepsZeros else { return entries }
      return Buffer(zip(entries.elements, pruned.elements).map { $0 == 0 ? $1 : $0 })
    }
  }
}
