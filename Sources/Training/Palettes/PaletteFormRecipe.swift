internal import Clustering
internal import Kernels
package import Recipes

/// What a recipe says of one weight.
struct WeightPalette: Sendable, Equatable {
  let form: PaletteForm
  let layout: PaletteLayout
  /// The share of weights that are zero from the start.
  let prune: Double

  /// Of a recipe that is valid. Channels that do not divide into its groups and vectors have one palette.
  ///
  /// - Returns: nil if the weight stays in half precision.
  init?(_ clustering: ClusteringRecipe, _ name: String, shape: [Int]) {
    guard let palette = clustering.palette(of: name, shape: shape) else { return nil }
    form = palette.form.fitting(shape)
    prune = palette.prune
    guard let layout = try? form.layout(of: shape) else { preconditionFailure("palette of \(name): \(form)") }
    self.layout = layout
  }

  /// The weights with the smallest ones at zero: a copy, or the weights themselves if none are to be.
  func pruned(_ weights: Buffer) -> Buffer {
    let count = Int(prune * Double(weights.count))
    guard count > 0 else { return weights }
    let elements = weights.elements
    let order = elements.indices.sorted {
      abs(elements[$0]) == abs(elements[$1]) ? $0 < $1 : abs(elements[$0]) < abs(elements[$1])
    }
    var kept = elements
    for index in order.prefix(count) { kept[index] = 0 }
    return Buffer(kept)
  }

  /// Factors of the channels to start from, or nil if it has none.
  func startingScale(_ weights: Buffer) -> Buffer? {
    form.channelScale ? PaletteElements.scale(of: weights, layout) : nil
  }
}

extension PaletteRecipe {
  fileprivate var form: PaletteForm {
    let stored: PaletteForm.Entries =
      switch entries {
      case .half: .half
      case .int8: .int8
      }
    return PaletteForm(
      bits: bits, groupSize: groupSize > 0 ? groupSize : nil, axis: axis, vector: vector,
      channelScale: channelScale, entries: stored, enforcesZero: enforceZero)
  }
}

extension ClusteringRecipe {
  /// Whether a weight has one palette because its channels do not divide into the groups or vectors that it should have.
  package func isUndivided(_ name: String, shape: [Int]) -> Bool {
    palette(of: name, shape: shape).map { $0.form != $0.form.fitting(shape) } ?? false
  }

  /// Bits that a weight of this name and shape takes, tables and scales included.
  package func storedBits(of name: String, shape: [Int]) -> Int {
    let count = shape.reduce(1, *)
    guard let palette = WeightPalette(self, name, shape: shape) else { return count * 16 }
    let (form, layout) = (palette.form, palette.layout)
    let numbers = layout.groups * layout.vector << form.bits
    let tables = form.entries == .int8 ? numbers * 8 + layout.groups * 16 : numbers * 16
    return count / layout.vector * form.bits + tables + (form.channelScale ? layout.channels * 16 : 0)
  }

  /// What the palettes of a weight hold in a step beside its entries, about, in bytes.
  package func stepBytes(of name: String, shape: [Int]) -> Int {
    guard let palette = WeightPalette(self, name, shape: shape) else { return 0 }
    let (form, layout) = (palette.form, palette.layout)
    let arranged = layout.arrangement.isIdentity && !form.channelScale ? 0 : 4 * layout.count
    // Centroids and sums of every iteration, in arrays of their own.
    let solution = (2 * iterations + 3) * (32 + 8 * layout.vector << form.bits)
    let rows =
      isOneByOne(form, layout)
      ? 0 : WeightHistogram.expectedRows(layout.count / layout.groups, entries: 1 << form.bits)
    return arranged + layout.groups * (solution + rows * WeightHistogram.Rows.bytes)
  }
}
