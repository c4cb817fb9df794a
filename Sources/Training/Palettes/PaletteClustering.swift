package import Clustering
internal import Foundation
internal import Kernels
package import Recipes

extension StepPalette.Clustering {
  /// How a step that does not keep indices clusters a weight.
  ///
  /// - Parameter centroids: to start from, `[groups, entries, vector]`.
  package init(
    _ elements: PaletteElements, _ centroids: [Float], _ recipe: ClusteringRecipe, _ phase: TrainingPhase
  ) throws(ClusteringError) {
    let layout = elements.layout
    guard case .soft(let multiple) = phase, recipe.gradient != .straightThrough else {
      try elements.checkFinite()
      let entries = StoredEntries(rounding: centroids, elements.form, groups: layout.groups).values
      self = .hard(HardClustering(arranged: elements.arranged, layout, table: entries))
      return
    }
    if recipe.isOneByOne(elements.form, layout) {
      try elements.checkFinite()
      self = .softVectors(Self.softVectors(elements, centroids, recipe, multiple))
    } else {
      self = .soft(try Self.soft(elements, centroids, recipe, multiple))
    }
  }

  private static func soft(
    _ elements: PaletteElements, _ centroids: [Float], _ recipe: ClusteringRecipe, _ multiple: Double
  ) throws(ClusteringError) -> [SoftClustering] {
    var groups: [SoftClustering] = []
    for (group, own) in centroids.shared(among: elements.layout.groups).enumerated() {
      let histogram = try WeightHistogram.even(
        elements.arranged, range: elements.layout.range(group), steps: WeightHistogram.steps(entries: own.count))
      groups.append(
        try SoftClustering(
          histogram, of: elements.arranged, centroids: own,
          options: ClusteringOptions(elements.form, recipe, multiple, variance: histogram.variance)))
    }
    return groups
  }

  private static func softVectors(
    _ elements: PaletteElements, _ centroids: [Float], _ recipe: ClusteringRecipe, _ multiple: Double
  ) -> [SoftVectorClustering] {
    let layout = elements.layout
    return centroids.shared(among: layout.groups).enumerated().map { group, own in
      SoftVectorClustering(
        arranged: elements.arranged, range: layout.indexRange(group), dimension: layout.vector, centroids: own,
        options: ClusteringOptions(
          elements.form, recipe, multiple, variance: Elementwise.variance(elements.arranged, layout.range(group))))
    }
  }
}

extension ClusteringRecipe {
  /// Whether soft palettes look at vectors, or weights, one by one, instead of at a histogram of weights.
  ///
  /// A histogram is no shorter than a small group's weights, and what it saves is less the fewer entries there are.
  func isOneByOne(_ form: PaletteForm, _ layout: PaletteLayout) -> Bool {
    let (entries, weights) = (1 << form.bits, layout.count / layout.groups)
    return layout.vector > 1 || gradient == .unrolled && entries <= 4 && entries * weights <= 1 << 16
  }
}

extension ClusteringOptions {
  /// - Parameter multiple: the temperature over the variance, for palettes as the recipe has them for all weights.
  fileprivate init(_ form: PaletteForm, _ recipe: ClusteringRecipe, _ multiple: Double, variance: Double) {
    // What softens a coarse palette merges the entries of a fine one: its cells are narrower by half for every bit.
    let finer = Double(form.bits) / Double(form.vector) - Double(recipe.bits) / Double(recipe.vector)
    self.init(
      bits: form.bits, temperature: Temperature.relative(multiple / pow(4, max(0, finer)), variance: variance),
      iterations: recipe.iterations, gradient: recipe.gradient.method, maximumGain: recipe.maximumGain)
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

extension [Float] {
  /// An equal part for each group.
  fileprivate func shared(among groups: Int) -> [[Float]] {
    let size = count / groups
    return (0..<groups).map { Array(self[$0 * size..<($0 + 1) * size]) }
  }
}
