internal import Clustering
internal import Kernels

/// One weight's palette in one step of training.
enum StepPalette: Sendable {
  /// Every weight a mixture of entries near it; gradients are those of differentiable k-means.
  case soft(SoftClustering)
  /// Every weight its nearest entry; the gradient passes straight through.
  case hard(HardClustering)
  /// Fixed indices; the gradient goes to the entries, which are rounded to half precision as they will be exported.
  case frozen(table: Buffer, indices: [UInt8])

  /// The weights that the layer computes with.
  func weights() -> Buffer {
    switch self {
    case .soft(let clustering): clustering.softWeights()
    case .hard(let clustering): clustering.hardWeights()
    case .frozen(let table, let indices):
      PaletteEntries.gather(HalfPrecision.rounded(table), indices)
    }
  }

  /// The gradient of what is trained, from that of ``weights()``: the latent weights, or the entries when frozen.
  func pullback(_ dy: Buffer) -> Buffer {
    switch self {
    case .soft(let clustering): clustering.pullback(dy)
    case .hard(let clustering): clustering.pullback(dy)
    case .frozen(let table, let indices):
      PaletteEntries.gradient(dy, indices, entries: table.count)
    }
  }

  /// Where the next step's iterations start.
  func nextCentroids(after current: [Float]) -> [Float] {
    switch self {
    case .soft(let clustering): clustering.centroids
    case .hard(let clustering):
      NearestCentroid.refit(clustering.histogram, current.map(Double.init), rounds: 1)
        .map(Float.init)
    case .frozen: current
    }
  }
}
