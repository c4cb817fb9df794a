package import Clustering
internal import Foundation
package import Kernels

/// One weight's palette in one step of training.
package struct StepPalette: Sendable {
  package enum Clustering: Sendable {
    /// Every weight a mixture of entries near it; gradients are those of differentiable k-means. One for each group.
    case soft([SoftClustering])
    /// Every weight its nearest entry; the gradient passes straight through. One for each group.
    case hard([HardClustering])
    /// Every vector of weights a mixture of entries near it. One for each group.
    case softVectors([SoftVectorClustering])
    /// Every vector of weights its nearest entry; the gradient passes straight through.
    case vectors(VectorClustering)
    /// Fixed indices; the gradient goes to the entries, which are rounded as they will be exported.
    case frozen(RunState.FrozenPalette)
  }

  let weights: Buffer
  let elements: PaletteElements
  let clustering: Clustering
  /// Whether weights that are zero stay so.
  let keepsZeros: Bool
  /// Whether hard entries are trained by their gradient, instead of following the means of their cells.
  let learnsEntries: Bool

  package init(
    weights: Buffer, elements: PaletteElements, clustering: Clustering, keepsZeros: Bool, learnsEntries: Bool
  ) {
    self.weights = weights
    self.elements = elements
    self.clustering = clustering
    self.keepsZeros = keepsZeros
    self.learnsEntries = learnsEntries
  }

  private var layout: PaletteLayout { elements.layout }

  /// The weights that the layer computes with.
  package func layerWeights() -> Buffer { layout.arrangement.restored(palettized(), factors: elements.scale) }

  /// Entries, or mixtures of them, in the arranged order and without the factors of channels.
  private func palettized() -> Buffer {
    switch clustering {
    case .soft(let groups):
      let y = Buffer(uninitialized: layout.count)
      for group in groups { group.softWeights(into: y) }
      return y
    case .hard(let groups):
      let y = Buffer(uninitialized: layout.count)
      for group in groups { group.hardWeights(into: y) }
      return y
    case .softVectors(let groups):
      let y = Buffer(uninitialized: layout.count)
      for group in groups { group.softWeights(into: y) }
      return y
    case .vectors(let vectors):
      return gather(vectors.table, vectors.indices)
    case .frozen(let frozen):
      let entries = StoredEntries(rounding: frozen.table.elements, elements.form, groups: layout.groups)
      return gather(entries.values, frozen.indices)
    }
  }

  private func gather(_ table: [Float], _ indices: [UInt8]) -> Buffer {
    PaletteEntries.gather(Buffer(table), indices, groups: layout.groups, vector: layout.vector)
  }

  /// Gradients of what is trained.
  package struct Gradients: Sendable {
    /// Of the latent weights, or of the entries once indices are fixed.
    package let parameter: Buffer
    /// Of the factors of channels.
    package let scale: Buffer?
    /// Of hard entries, where they are learned beside the weights.
    package let entries: Buffer?
    /// The share of the weights whose own gradient's factor was cut off at its bound.
    var clippedShare = 0.0
  }

  /// - Parameter dy: the gradient of ``layerWeights()``.
  package func pullback(_ dy: Buffer) -> Gradients {
    let arrangement = layout.arrangement
    let upstream = arrangement.arranged(dy, factors: elements.scale)
    // ŵ = s q(w / s), so ∂L/∂s = Σ_channel (dŵ q − dw w / s), where dw is what the latent weights get.
    let direct = elements.scale.map { _ in
      arrangement.channelSums(dy, arrangement.restored(palettized()))
    }
    if case .frozen(let frozen) = clustering {
      let gradient = PaletteEntries.gradient(
        upstream, frozen.indices, entries: frozen.table.count / layout.groups / layout.vector,
        groups: layout.groups, vector: layout.vector)
      if elements.form.enforcesZero { Self.clear(gradient, where: frozen.table) }
      return Gradients(parameter: gradient, scale: direct, entries: nil)
    }
    let inverse = elements.inverseScale
    let latent = latent(upstream)
    let parameter = arrangement.restored(latent.gradient, factors: inverse)
    if keepsZeros { Self.clear(parameter, where: weights) }
    let entries = learnsEntries ? entryGradient(upstream) : nil
    guard let direct, let inverse else {
      return Gradients(parameter: parameter, scale: nil, entries: entries, clippedShare: latent.clippedShare)
    }
    let through = arrangement.channelSums(parameter, weights)
    let scale = Buffer(uninitialized: layout.channels)
    for channel in 0..<layout.channels {
      scale.pointer[channel] = direct[channel] - through[channel] * inverse[channel]
    }
    return Gradients(parameter: parameter, scale: scale, entries: entries, clippedShare: latent.clippedShare)
  }

  /// The sum over each entry's cell.
  private func entryGradient(_ upstream: Buffer) -> Buffer? {
    switch clustering {
    case .hard(let groups): Buffer(groups.flatMap { $0.centroidPullback(upstream) })
    case .vectors(let vectors):
      PaletteEntries.gradient(
        upstream, vectors.indices, entries: vectors.table.count / layout.groups / layout.vector,
        groups: layout.groups, vector: layout.vector)
    case .soft, .softVectors, .frozen: nil
    }
  }

  /// The gradient of the arranged elements.
  private func latent(_ upstream: Buffer) -> (gradient: Buffer, clippedShare: Double) {
    let dx = Buffer(uninitialized: layout.count)
    var clippedShare = 0.0
    switch clustering {
    case .soft(let groups):
      for group in groups { clippedShare += group.pullback(upstream, into: dx) / Double(groups.count) }
    case .softVectors(let groups): for group in groups { group.pullback(upstream, into: dx) }
    case .hard, .vectors, .frozen: return (keepsZeros ? Buffer(upstream.elements) : upstream, 0)
    }
    return (dx, clippedShare)
  }

  private static func clear(_ gradient: Buffer, where x: Buffer) {
    for index in 0..<x.count where x.pointer[index] == 0 { gradient.pointer[index] = 0 }
  }

  /// Where the next step starts. `[groups, entries, vector]`
  ///
  /// - Parameter current: where this one did, learned entries already moved.
  package func nextCentroids(after current: [Float]) -> [Float] {
    let next: [Float]
    switch clustering {
    case .hard where learnsEntries, .vectors where learnsEntries: next = current
    case .soft(let groups): next = PaletteElements.joined(groups.map(\.centroids))
    case .hard(let groups):
      let size = current.count / groups.count
      next = groups.enumerated().flatMap { group, clustering in
        NearestCentroid.refit(
          clustering.histogram, current[group * size..<(group + 1) * size].map(Double.init), rounds: 1
        ).map(Float.init)
      }
    case .softVectors(let groups):
      let soft = groups.flatMap(\.centroids)
      // Entries without mass take the places of the vectors that are worst off.
      next =
        groups.contains(where: \.hasDeadCentroids)
        ? VectorClustering(arranged: elements.arranged, layout, table: soft).refitted() : soft
    case .vectors(let vectors): next = vectors.refitted()
    case .frozen: return current
    }
    return elements.form.enforcesZero
      ? StoredEntries.pinned(next, groups: layout.groups, vector: layout.vector) : next
  }

  /// The weights' indices, in the arranged order; nil where the palette is soft.
  var indices: [UInt8]? {
    switch clustering {
    case .soft, .softVectors: nil
    case .hard(let groups): groups.flatMap(\.indices)
    case .vectors(let vectors): vectors.indices
    case .frozen(let frozen): frozen.indices
    }
  }

  /// 10 log₁₀(Σw² / Σ(w − ŵ)²) in dB; 999 where nothing is lost.
  var signalToNoise: Double {
    let error = Elementwise.sumOfSquaredDifferences(weights, layerWeights())
    let power = Elementwise.sumOfSquares(weights)
    return error > 0 && power > 0 ? 10 * log10(power / error) : 999
  }

  /// Whether entries of a palette died or merged.
  var isCollapsed: Bool {
    guard case .hard(let groups) = clustering else { return false }
    return groups.contains { group in
      PaletteStatistics(
        group.histogram, centroids: group.centroids.map(Double.init), bits: elements.form.bits
      ).isCollapsed
    }
  }
}
