internal import Clustering
internal import Kernels
package import Recipes
internal import Tensors

/// A palette of random weights, to find out what palettes of its form and size cost.
package struct PaletteSample: Hashable, Sendable {
  private let form: PaletteForm
  /// Of one group.
  private let shape: [Int]

  /// Weights of a sample at most: more have hardly more distinct values.
  private static let most = 1 << 20

  /// A sample, and the factor from its cost to that of all the weight's palettes; nil if the weight has none.
  package static func of(
    _ name: String, _ shape: [Int], _ clustering: ClusteringRecipe
  ) throws -> (sample: PaletteSample, count: Double)? {
    guard let palette = WeightPalette(clustering, name, shape: shape) else { return nil }
    let layout = palette.layout
    let size = layout.count / layout.groups
    // A row of vectors stands for any arrangement of as many.
    let sampled = min(size, most) / layout.vector
    var form = palette.form
    (form.groupSize, form.axis) = (nil, 1)
    return (
      PaletteSample(form: form, shape: [sampled, layout.vector]),
      Double(layout.groups) * Double(size) / Double(sampled * layout.vector)
    )
  }

  /// What a soft step does with such a palette: preparation, weights, gradients.
  package func step(_ recipe: Recipe) throws -> @Sendable () -> Void {
    var random = NumpyGenerator(seed: 0)
    let weights = Buffer(random.normals(shape[0] * shape[1]).map { 0.02 * $0 })
    let layout = try form.layout(of: shape)
    let scale = form.channelScale ? PaletteElements.scale(of: weights, layout) : nil
    let elements = PaletteElements(weights, form, layout, scale: scale)
    // Windows of single numbers depend on where the entries are; vectors meet all of them wherever they are.
    let table =
      layout.vector == 1
      ? try elements.optimalTable() : Array(elements.arranged.elements.prefix(layout.vector << form.bits))
    let (clustering, phase) = (recipe.clustering, recipe.phase(at: recipe.softSteps / 2))
    return {
      guard let clustered = try? StepPalette.Clustering(elements, table, clustering, phase) else { return }
      let palette = StepPalette(
        weights: weights, elements: elements, clustering: clustered, keepsZeros: false, learnsEntries: false)
      _ = palette.pullback(palette.layerElements().buffer).parameter.elements
    }
  }
}
