internal import Clustering
internal import Kernels
package import Layers
package import Recipes
internal import Tensors

extension RunState {
  /// The state before the first step: a copy of the model's weights, optimal palettes, zero moments.
  package init(_ weights: ParameterStore, _ recipe: Recipe) throws {
    let names = weights.names
    var parameters: [String: (shape: Shape, buffer: Buffer)] = [:]
    for name in names {
      guard let shape = weights.shape(of: name), let buffer = weights.buffer(name) else { continue }
      let copy = Buffer(uninitialized: buffer.count)
      copy.copy(from: buffer, 0..<buffer.count, at: 0)
      parameters[name] = (shape, copy)
    }
    let clustering = recipe.clustering
    let palettized = names.filter {
      clustering.bits(of: $0, shape: weights.shape(of: $0)?.axes ?? []) < 16
    }
    let copies = parameters
    let started = Parallel.map(palettized.count) { index -> Result<[Float], any Error> in
      let name = palettized[index]
      return Result {
        guard let (shape, buffer) = copies[name] else { return [] }
        let bits = clustering.bits(of: name, shape: shape.axes)
        let optimum = OptimalKMeans(try WeightHistogram(buffer), clusters: 1 << bits)
        return optimum.centroids.map(Float.init)
      }
    }
    var centroids: [String: [Float]] = [:]
    for (name, result) in zip(palettized, started) { centroids[name] = try result.get() }
    self.init(
      step: 0, parameters: parameters,
      moments: parameters.mapValues { AdamW.Moments(count: $0.shape.count, recipe.training.moments) },
      centroids: centroids, frozen: [:], losses: [])
  }
}
