internal import Distribution
internal import Layers
internal import Recipes
internal import Tensors

/// All that a run trains, in one order on every rank, and which rank keeps what.
struct TrainedWeights: Sendable {
  let shapes: [String: Shape]
  let palettes: [String: WeightPalette]
  /// Names of the palettized weights, largest first: the order in which threads take them.
  let palettized: [String]
  /// The place of each weight: palettized ones come first, then all others by name.
  let order: [String: Int]
  let ownership: Ownership
  /// Names of what this rank keeps.
  let owned: Set<String>

  /// - Throws: as ``WeightPalette`` does.
  init(_ weights: ParameterStore, _ clustering: ClusteringRecipe, _ ranks: Ranks) throws(TrainingError) {
    var shapes: [String: Shape] = [:]
    var palettes: [String: WeightPalette] = [:]
    for name in weights.names {
      shapes[name] = weights.shape(of: name)
      palettes[name] = WeightPalette(clustering, name, shape: shapes[name]?.axes ?? [])
    }
    func count(_ name: String) -> Int { shapes[name]?.count ?? 0 }
    let clustered = weights.names.filter { palettes[$0] != nil }
    let plain = weights.names.filter { palettes[$0] == nil }
    palettized = clustered.sorted { count($0) == count($1) ? $0 < $1 : count($0) > count($1) }
    let names = palettized + plain
    order = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    ownership = Ownership(names.map { ($0, count($0)) }, ranks: ranks.count)
    owned = Set(ownership.names(of: ranks.rank))
    self.shapes = shapes
    self.palettes = palettes
  }
}
