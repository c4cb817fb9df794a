package import Clustering
package import Kernels

/// One weight's palette in one step of training.
package struct StepPalette: Sendable {
  package enum Clustering: Sendable {
    /// Every weight a mixture of entries near it; gradients are those of differentiable k-means. One for each group.
    case soft([SoftClustering])
    /// The same of vectors, or of weights one by one. One for each group.
    case softVectors([SoftVectorClustering])
    /// Every weight or vector its nearest entry; the gradient passes straight through.
    case hard(HardClustering)
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

  /// The same for one use, made where it is read if every weight is a palette's alone.
  package func layerElements() -> WeightElements { onlyPalette?.softElements() ?? WeightElements(layerWeights()) }

  /// Entries, or mixtures of them, in the arranged order and without the factors of channels.
  private func palettized() -> Buffer {
    switch clustering {
    case .soft(let groups):
      let y = Buffer(uninitialized: layout.count)
      for group in groups { group.softWeights(into: y) }
      return y
    case .softVectors(let groups):
      let y = Buffer(uninitialized: layout.count)
      for group in groups { group.softWeights(into: y) }
      return y
    case .hard(let palette): return palette.hardWeights()
    case .frozen(let frozen):
      let entries = StoredEntries(rounding: frozen.table.elements, elements.form, groups: layout.groups)
      return PaletteEntries.gather(
        Buffer(entries.values), frozen.indices, groups: layout.groups, vector: layout.vector)
    }
  }

  /// Gradients of what is trained.
  package struct Gradients: Sendable {
    /// Of the latent weights, or of the entries once indices are fixed.
    package var parameter: ParameterGradient
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
    if let palette = onlyPalette, !keepsZeros, dy.count >= Self.leastMadeOnTheWay {
      let gradient = palette.gradient(dy)
      return Gradients(
        parameter: .keyed(gradient.parameter), scale: nil, entries: nil, clippedShare: gradient.clippedShare)
    }
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
      return Gradients(parameter: .elements(gradient), scale: direct, entries: nil)
    }
    let inverse = elements.inverseScale
    let latent = latent(upstream)
    let parameter = arrangement.restored(latent.gradient, factors: inverse)
    if keepsZeros { Self.clear(parameter, where: weights) }
    var entries: Buffer?
    if learnsEntries, case .hard(let palette) = clustering { entries = palette.entryPullback(upstream) }
    guard let direct, let inverse else {
      return Gradients(parameter: .elements(parameter), scale: nil, entries: entries, clippedShare: latent.clippedShare)
    }
    let through = arrangement.channelSums(parameter, weights)
    let scale = Buffer(uninitialized: layout.channels)
    for channel in 0..<layout.channels {
      scale.pointer[channel] = direct[channel] - through[channel] * inverse[channel]
    }
    return Gradients(parameter: .elements(parameter), scale: scale, entries: entries, clippedShare: latent.clippedShare)
  }

  /// Elements from which on a gradient is made where it is read: the table that it takes is half a megabyte.
  private static let leastMadeOnTheWay = 1 << 18

  /// The soft palette of all weights as they stand.
  private var onlyPalette: SoftClustering? {
    guard case .soft(let groups) = clustering, groups.count == 1, layout.arrangement.isIdentity, elements.scale == nil
    else { return nil }
    return groups[0]
  }

  /// The gradient of the arranged elements.
  private func latent(_ upstream: Buffer) -> (gradient: Buffer, clippedShare: Double) {
    let dx = Buffer(uninitialized: layout.count)
    var clippedShare = 0.0
    switch clustering {
    case .soft(let groups):
      for group in groups { clippedShare += group.pullback(upstream, into: dx) / Double(groups.count) }
    case .softVectors(let groups):
      for group in groups { clippedShare += group.pullback(upstream, into: dx) / Double(groups.count) }
    case .hard, .frozen: return (keepsZeros ? Buffer(upstream.elements) : upstream, 0)
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
    case .hard where learnsEntries: next = current
    case .hard(let palette): next = palette.refitted()
    case .soft(let groups): next = PaletteElements.joined(groups.map(\.centroids))
    case .softVectors(let groups):
      next = revived(groups)
    case .frozen: return current
    }
    return elements.form.enforcesZero
      ? StoredEntries.pinned(next, groups: layout.groups, vector: layout.vector) : next
  }

  /// The groups' centroids; in a group where some have no mass, these take the places of the vectors that are worst off.
  private func revived(_ groups: [SoftVectorClustering]) -> [Float] {
    var table = groups.flatMap(\.centroids)
    guard groups.contains(where: \.hasDeadCentroids) else { return table }
    let refitted = HardClustering(arranged: elements.arranged, layout, table: table).refitted()
    let size = table.count / groups.count
    for (group, palette) in groups.enumerated() where palette.hasDeadCentroids {
      let own = group * size..<(group + 1) * size
      table.replaceSubrange(own, with: refitted[own])
    }
    return table
  }

  /// The weights' indices, in the arranged order; nil where the palette is soft.
  var indices: [UInt8]? {
    switch clustering {
    case .soft, .softVectors: nil
    case .hard(let palette): palette.indices
    case .frozen(let frozen): frozen.indices
    }
  }

  /// 10 log₁₀(Σw² / Σ(w − ŵ)²) in dB.
  var signalToNoise: Double {
    Decibels.ratio(
      Elementwise.sumOfSquares(weights), toError: Elementwise.sumOfSquaredDifferences(weights, layerWeights()))
  }

  /// Whether entries of a palette of single weights died or merged.
  var isCollapsed: Bool {
    guard case .hard(let palette) = clustering, layout.vector == 1 else { return false }
    let size = palette.table.count / layout.groups
    return (0..<layout.groups).contains { group in
      guard let histogram = try? WeightHistogram(elements.arranged, range: layout.range(group)) else { return false }
      return PaletteStatistics(
        histogram, centroids: palette.table[group * size..<(group + 1) * size].map(Double.init),
        bits: elements.form.bits
      ).isCollapsed
    }
  }
}
