/// What a weight's palettes look like.
package struct PaletteRecipe: Sendable, Equatable {
  package enum Entries: String, Choice {
    /// Half precision.
    case half
    /// Whole numbers of 8 bits, times a half-precision step for each palette.
    case int8
  }

  /// Bits per index: a palette has 2^bits entries. 1, 2, 3, 4, 6 or 8; 16 leaves the weight in half precision.
  package var bits: Int
  /// Neighbouring channels that share a palette; 0 for one palette a tensor.
  package var groupSize: Int
  /// The axis of groups, vectors and scales: 0 for output channels, 1 for input channels.
  package var axis: Int
  /// Weights of consecutive channels that one index stands for.
  package var vector: Int
  /// Whether every channel has a trained factor of its own.
  package var channelScale: Bool
  package var entries: Entries
  /// Whether one entry is exactly zero.
  package var enforceZero: Bool
  /// The share of weights, the smallest, that are zero from the start and stay so.
  package var prune: Double

  /// Whether only iOS 18's constants can hold it.
  var needsGroupedPalettes: Bool {
    bits == 3 || bits < 16 && (groupSize > 0 || vector > 1 || channelScale || entries == .int8)
  }

  /// Widths of indices that some target has.
  package static let supportedBits = [1, 2, 3, 4, 6, 8]

  /// - Parameter path: of the object in the recipe.
  func validate(_ path: String) throws(RecipeError) {
    try Check.that(
      Self.supportedBits.contains(bits) || bits == 16, "\(path).bits", "1, 2, 3, 4, 6, 8 or 16", bits)
    try Check.that(groupSize >= 0, "\(path).groupSize", "0 for one palette a tensor, or channels", groupSize)
    try Check.that((0...1).contains(axis), "\(path).axis", "0 (output channels) or 1 (input channels)", axis)
    try Check.that([1, 2, 4].contains(vector), "\(path).vector", "1, 2 or 4 channels", vector)
    try Check.that(
      groupSize % vector == 0, "\(path).vector", "a divisor of groupSize (\(groupSize))", vector)
    try Check.that(prune >= 0 && prune < 1, "\(path).prune", "0 or more and below 1", prune)
    try Check.that(prune == 0 || vector == 1, "\(path).vector", "1 where weights are pruned", vector)
    try Check.that(
      prune == 0 || enforceZero, "\(path).enforceZero", "true where weights are pruned", enforceZero)
  }
}

extension ClusteringRecipe {
  /// Other palettes for the weights whose names match; the first match counts. What is left out is as for all weights.
  package struct Layer: Codable, Sendable, Equatable {
    /// A weight's name, in which `*` stands for any characters.
    package var match: String
    package var bits: Int?
    package var groupSize: Int?
    package var axis: Int?
    package var vector: Int?
    package var channelScale: Bool?
    package var entries: PaletteRecipe.Entries?
    package var enforceZero: Bool?
    package var prune: Double?

    package init(match: String, bits: Int? = nil) {
      self.match = match
      self.bits = bits
    }

    func applied(to palette: PaletteRecipe) -> PaletteRecipe {
      PaletteRecipe(
        bits: bits ?? palette.bits, groupSize: groupSize ?? palette.groupSize, axis: axis ?? palette.axis,
        vector: vector ?? palette.vector, channelScale: channelScale ?? palette.channelScale,
        entries: entries ?? palette.entries, enforceZero: enforceZero ?? palette.enforceZero,
        prune: prune ?? palette.prune)
    }
  }

  /// Of all weights that no layer speaks of.
  package var palette: PaletteRecipe {
    PaletteRecipe(
      bits: bits, groupSize: groupSize, axis: axis, vector: vector, channelScale: channelScale,
      entries: entries, enforceZero: enforceZero, prune: prune)
  }

  /// Of one weight; nil if it stays in half precision.
  package func palette(of weight: String, shape: [Int]) -> PaletteRecipe? {
    guard shape.count >= 2, shape.reduce(1, *) > minimumElements else { return nil }
    let layer = layers.first { Self.matches(weight, $0.match) }
    let palette = layer?.applied(to: palette) ?? palette
    return palette.bits < 16 ? palette : nil
  }

  /// The patterns of ``layers`` that fit none of these weights: misspelt, or meant for a model of another shape.
  package func unmatchedLayers(_ weights: [String]) -> [String] {
    layers.map(\.match).filter { pattern in !weights.contains { Self.matches($0, pattern) } }
  }

  /// What the recipe becomes when single weights get palettes of their own; all else stays as it was.
  package func assigning(
    _ palettes: [(weight: String, bits: Int, groupSize: Int, vector: Int?)]
  ) -> ClusteringRecipe {
    var recipe = self
    recipe.layers =
      palettes.map { weight, bits, groupSize, vector in
        var layer = layers.first { Self.matches(weight, $0.match) } ?? Layer(match: weight)
        layer.match = weight
        layer.bits = bits
        layer.groupSize = groupSize
        layer.vector = vector ?? layer.vector
        return layer
      } + layers
    return recipe
  }

  /// All palettes that the recipe speaks of, with their paths.
  var palettes: [(path: String, palette: PaletteRecipe)] {
    [("clustering", palette)]
      + layers.enumerated().map { ("clustering.layers[\($0)]", $1.applied(to: palette)) }
  }

  /// Whether a name fits a pattern in which `*` stands for any characters.
  static func matches(_ name: String, _ pattern: String) -> Bool {
    guard pattern.utf8.contains(UInt8(ascii: "*")) else { return name == pattern }
    let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
    guard name.hasPrefix(parts[0]), name.hasSuffix(parts[parts.count - 1]),
      name.count >= parts[0].count + parts[parts.count - 1].count
    else { return false }
    var rest = name.dropFirst(parts[0].count).dropLast(parts[parts.count - 1].count)
    for part in parts.dropFirst().dropLast() {
      guard let found = rest.firstRange(of: part) else { return false }
      rest = rest[found.upperBound...]
    }
    return true
  }
}
