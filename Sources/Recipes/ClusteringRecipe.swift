/// How weights become palettes.
public struct ClusteringRecipe: Codable, Sendable, Equatable {
  public enum Gradient: String, Choice {
    /// Through all iterations of differentiable k-means.
    case unrolled
    /// Of the fixed point that the iterations lead to.
    case implicit
    /// The gradient of the clustered weights as it is.
    case straightThrough = "straight-through"
  }

  /// Other bits for the weights whose names match; the first match counts.
  public struct Layer: Codable, Sendable, Equatable {
    /// A weight's name, in which `*` stands for any characters.
    public var match: String
    /// 1, 2, 3, 4, 6 or 8; 16 leaves the weight in half precision.
    public var bits: Int
  }

  /// Softness τ of the assignment, as a multiple of each tensor's variance, annealed geometrically.
  public struct Temperature: Codable, Sendable, Equatable {
    public var start: Double
    public var end: Double
  }

  /// Bits per weight: the palette has 2^bits entries. 1, 2, 3, 4, 6 or 8.
  public var bits: Int
  public var layers: [Layer]
  /// Only weights with more elements than this, and at least two axes, are palettized.
  public var minimumElements: Int
  /// Iterations of differentiable k-means in each step.
  public var iterations: Int
  public var gradient: Gradient
  public var temperature: Temperature
  /// Bound on the factor that a weight's own gradient takes near the border of two cells.
  public var maximumGain: Double
  /// The last share of the steps, in which every weight is already its palette entry.
  public var hardShare: Double
  /// The share of the steps after that in which indices are frozen and palette entries are trained.
  public var polishShare: Double

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    bits = try values.decode(Int.self, forKey: .bits)
    layers = try values.value(.layers, [])
    minimumElements = try values.value(.minimumElements, 2048)
    iterations = try values.value(.iterations, 3)
    gradient = try values.value(.gradient, .unrolled)
    temperature = try values.value(.temperature, Temperature(start: 0.02, end: 0.0005))
    maximumGain = try values.value(.maximumGain, 10)
    hardShare = try values.value(.hardShare, 0.3)
    polishShare = try values.value(.polishShare, 0.1)
  }

  /// Bits of one weight; 16 if it stays in half precision.
  public func bits(of weight: String, shape: [Int]) -> Int {
    guard shape.count >= 2, shape.reduce(1, *) > minimumElements else { return 16 }
    return layers.first { Self.matches(weight, $0.match) }?.bits ?? bits
  }

  var allBits: [Int] { [bits] + layers.map(\.bits) }

  package func validate() throws(RecipeError) {
    let supported = [1, 2, 3, 4, 6, 8]
    try Check.that(supported.contains(bits), "clustering.bits", "1, 2, 3, 4, 6 or 8", bits)
    for (index, layer) in layers.enumerated() {
      try Check.that(
        supported.contains(layer.bits) || layer.bits == 16, "clustering.layers[\(index)].bits",
        "1, 2, 3, 4, 6, 8 or 16", layer.bits)
    }
    try Check.that(
      minimumElements >= 0, "clustering.minimumElements", "0 or more", minimumElements)
    try Check.that(
      (1...100).contains(iterations), "clustering.iterations", "1 to 100", iterations)
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

  /// Whether a name fits a pattern in which `*` stands for any characters.
  static func matches(_ name: String, _ pattern: String) -> Bool {
    let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
    guard parts.count > 1 else { return name == pattern }
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
