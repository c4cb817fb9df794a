package import Clustering
internal import Kernels
package import Layers
package import Recipes
internal import Tensors

extension HardWeights {
  /// Optimal post-training palettes: exact one-dimensional k-means of every weight (no training).
  package init(
    postTraining weights: ParameterStore, _ clustering: ClusteringRecipe
  ) throws {
    let names = weights.names
    let tensors = Parallel.map(names.count) { index -> Result<Weight, any Error> in
      let name = names[index]
      return Result {
        guard let shape = weights.shape(of: name), let buffer = weights.buffer(name) else {
          preconditionFailure("weight \(name) without elements")
        }
        let bits = clustering.bits(of: name, shape: shape.axes)
        guard bits < 16 else { return .half(HalfPrecision.rounded(buffer)) }
        let histogram = try WeightHistogram(buffer)
        let optimum = OptimalKMeans(histogram, clusters: 1 << bits)
        return .palettized(
          try PalettizedTensor(
            histogram, shape: shape.axes, centroids: optimum.centroids, bits: bits))
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
    guard let centroids = state.centroids[name] else {
      return .half(HalfPrecision.rounded(buffer))
    }
    let bits = clustering.bits(of: name, shape: shape.axes)
    if let frozen = state.frozen[name] {
      let codes = HalfPrecision.encode(frozen.table)
      return .palettized(
        PalettizedTensor(
          shape: shape.axes, bits: bits,
          table: codes + [UInt16](repeating: 0, count: 1 << bits - codes.count),
          entries: codes.count, indices: frozen.indices))
    }
    return .palettized(
      try PalettizedTensor(
        try WeightHistogram(buffer), shape: shape.axes, centroids: centroids.map(Double.init),
        bits: bits))
  }

  /// The weights for the training engine, widened to 32 bits whenever they are used.
  package func store(origin: String) -> ParameterStore {
    let stored = Dictionary(
      uniqueKeysWithValues: weights.map { name, weight in
        (name, (shape: Shape(shapes[name] ?? []), read: { @Sendable in weight.decoded }))
      })
    return ParameterStore([:], stored: stored, origin: origin)
  }
}
