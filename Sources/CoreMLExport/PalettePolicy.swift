package import Clustering

/// Which weights post-training palettization takes, and what their palettes look like.
package struct PalettePolicy: Sendable {
  /// Nil leaves weights as they are.
  package var form: PaletteForm?
  /// Other bits for single weights, by name; 16 leaves a weight as it is.
  package var bits: [String: Int]
  /// Only weights with more elements than this, and at least two axes, are palettized.
  package var minimumElements: Int

  package init(_ form: PaletteForm?, bits: [String: Int] = [:], minimumElements: Int = 2048) {
    self.form = form
    self.bits = bits
    self.minimumElements = minimumElements
  }

  /// The palettes of one weight; nil if it has none.
  ///
  /// Tables of tokens, places and classes are looked up, not multiplied with, and directions of concepts are compared
  /// with: both stay as they are. A weight whose channels do not divide into the groups or vectors gets one palette of as
  /// many bits instead.
  package func form(of name: String, shape: [Int]) -> PaletteForm? {
    guard var form, shape.count >= 2, shape.reduce(1, *) > minimumElements,
      !name.split(separator: ".").contains("embeddings"), !name.hasSuffix("_embeds")
    else { return nil }
    form.bits = bits[name] ?? form.bits
    return form.bits < 16 ? form.fitting(shape) : nil
  }
}
