/// How weights become palettes.
package struct ClusteringRecipe: Codable, Sendable, Equatable {
  package enum Gradient: String, Choice {
    /// Through all iterations of differentiable k-means.
    case unrolled
    /// Of the fixed point that the iterations lead to.
    case implicit
    /// The gradient of the clustered weights as it is.
    case straightThrough = "straight-through"
  }

  /// What the first palettes are.
  package enum Start: String, Choice {
    /// The least squared error of the weights.
    case optimal
    /// The least squared error, each weight's counted by how much it moves the output (its diagonal Fisher
    /// information).
    case fisher
    /// What moves the output least, to second order, errors of a layer's weights taken together.
    case calibrated
  }

  /// Softness τ of the assignment, as a multiple of each tensor's variance, annealed geometrically.
  package struct Temperature: Codable, Sendable, Equatable {
    package var start: Double
    package var end: Double
  }

  /// Of all weights that no layer speaks of; see ``PaletteRecipe`` for this and the next seven.
  package var bits: Int
  package var groupSize: Int
  package var axis: Int
  package var vector: Int
  package var channelScale: Bool
  package var entries: PaletteRecipe.Entries
  package var enforceZero: Bool
  package var prune: Double
  package var layers: [Layer]
  /// Only weights with more elements than this, and at least two axes, are palettized.
  package var minimumElements: Int
  /// Iterations of differentiable k-means in each step.
  package var iterations: Int
  package var gradient: Gradient
  package var start: Start
  /// Pictures that calibrated palettes are measured on.
  package var calibrationSamples: Int
  package var temperature: Temperature
  /// Bound on the factor that a weight's own gradient takes near the border of two cells.
  package var maximumGain: Double
  /// The last share of the steps, in which every weight is already its palette entry.
  package var hardShare: Double
  /// The share of the steps after that in which indices are frozen and palette entries are trained.
  package var polishShare: Double

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    bits = try values.decode(Int.self, forKey: .bits)
    groupSize = try values.value(.groupSize, 0)
    axis = try values.value(.axis, 0)
    vector = try values.value(.vector, 1)
    channelScale = try values.value(.channelScale, false)
    entries = try values.value(.entries, .half)
    enforceZero = try values.value(.enforceZero, false)
    prune = try values.value(.prune, 0)
    layers = try values.value(.layers, [])
    minimumElements = try values.value(.minimumElements, 2048)
    iterations = try values.value(.iterations, 3)
    gradient = try values.value(.gradient, .unrolled)
    start = try values.value(.start, .optimal)
    calibrationSamples = try values.value(.calibrationSamples, 512)
    temperature = try values.value(.temperature, Temperature(start: 0.02, end: 0.0005))
    maximumGain = try values.value(.maximumGain, 10)
    hardShare = try values.value(.hardShare, 0.3)
    polishShare = try values.value(.polishShare, 0.1)
  }

  package func validate() throws(RecipeError) {
    for (path, palette) in palettes {
      try palette.validate(path)
      try Check.that(
        start != .fisher || palette.vector == 1, "\(path).vector", "1 where clustering.start is fisher", palette.vector)
    }
    try Check.that(
      minimumElements >= 0, "clustering.minimumElements", "0 or more", minimumElements)
    try Check.that(
      (1...100).contains(iterations), "clustering.iterations", "1 to 100", iterations)
    try Check.that(
      (1...1_000_000).contains(calibrationSamples), "clustering.calibrationSamples", "1 to 1000000", calibrationSamples)
    for (key, value) in [("start", temperature.start), ("end", temperature.end)] {
      try Check.that(
        value > 0 && value < 2, "clustering.temperature.\(key)",
        "above 0 and below 2 variances, where palettes collapse", value)
    }
    try Check.that(maximumGain > 0, "clustering.maximumGain", "above 0", maximumGain)
    try Check.that(
      hardShare >= 0 && polishShare >= 0 && hardShare + polishShare <= 1,
      "clustering.hardShare", "with polishShare between 0 and 1", hardShare + polishShare)
  }
}
