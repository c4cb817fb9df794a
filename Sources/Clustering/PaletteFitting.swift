package import Kernels

/// A weight tensor as its palettes see it: divided by its channels' factors, in the order of the palettes.
package struct PaletteElements: Sendable {
  package let form: PaletteForm
  package let layout: PaletteLayout
  /// Factors of the channels. `[channels]`
  package let scale: Buffer?
  package let inverseScale: Buffer?
  /// In the arranged order.
  package let arranged: Buffer

  package init(_ weights: Buffer, _ form: PaletteForm, _ layout: PaletteLayout, scale: Buffer?) {
    self.form = form
    self.layout = layout
    self.scale = scale
    inverseScale = scale.map { Buffer($0.elements.map { 1 / $0 }) }
    arranged = layout.arrangement.arranged(weights, factors: inverseScale)
  }

  /// The root mean square of each channel: factors that bring all channels to the same spread. `[channels]`
  package static func scale(of weights: Buffer, _ layout: PaletteLayout) -> Buffer {
    let perChannel = Float(layout.count / layout.channels)
    let sums = layout.arrangement.channelSums(weights, weights)
    return Buffer(
      sums.elements.map { sum in
        let deviation = (sum / perChannel).squareRoot()
        // A channel of zeros needs no factor; less than the smallest normal number would not be one.
        return deviation > 0 ? max(0x1p-14, deviation) : 1
      })
  }

  /// - Throws: ``ClusteringError/nonFiniteWeights`` if half precision cannot hold a weight.
  package func checkFinite() throws(ClusteringError) {
    // A pass at the memory's speed says that none is; only else it matters which.
    let most = Double(HalfPrecision.largest)
    guard !(Elementwise.sumOfSquares(arranged) < most * most) else { return }
    _ = try WeightHistogram(arranged)
  }

  /// The elements of a group that differ, and how many there are of each.
  func histogram(_ group: Int) throws(ClusteringError) -> WeightHistogram {
    try WeightHistogram(arranged, range: layout.range(group))
  }

  /// The entries with the least squared error: exact, or for vectors the best that Lloyd's iterations find.
  ///
  /// - Parameter sensitivities: what the squared error of each weight counts, in the order of the weights.
  /// - Returns: `[groups, entries, vector]`
  package func optimalTable(sensitivities: Buffer? = nil) throws -> [Float] {
    guard layout.vector == 1 else {
      return pinned(HardClustering.start(arranged: arranged, layout, entries: 1 << form.bits))
    }
    let masses = sensitivities.map { layout.arrangement.arranged($0) }
    let tables = try Parallel.map(layout.groups) { group in
      Result { () throws -> [Float] in
        let histogram = try histogram(group)
        let weighted = histogram.masses(of: masses)
        return OptimalKMeans(
          values: histogram.values, masses: weighted ?? histogram.masses, clusters: 1 << form.bits
        ).centroids.map(Float.init)
      }
    }.map { try $0.get() }
    return pinned(Self.joined(tables))
  }

  private func pinned(_ table: [Float]) -> [Float] {
    form.enforcesZero
      ? StoredEntries.pinned(table, groups: layout.groups, vector: layout.vector) : table
  }

  /// Groups with few distinct weights have few entries: the last one is repeated.
  package static func joined(_ tables: [[Float]]) -> [Float] {
    let longest = tables.reduce(0) { max($0, $1.count) }
    return tables.flatMap { table in
      table + [Float](repeating: table.last ?? 0, count: longest - table.count)
    }
  }

  /// Refits the entries to the weights, rounds them as they are stored, and assigns every weight to the nearest
  /// rounded one.
  ///
  /// - Parameters:
  ///   - table: `[groups, entries, vector]`
  ///   - rounds: of Lloyd's iteration.
  ///   - sensitivities: see ``optimalTable(sensitivities:)``.
  package func palettized(
    _ table: [Float], rounds: Int = 5, sensitivities: Buffer? = nil
  ) throws -> PalettizedTensor {
    let pitch = table.count / layout.groups
    guard (1...1 << form.bits).contains(pitch / layout.vector) else {
      throw ClusteringError.centroidCount(found: pitch / layout.vector, allowed: 1...1 << form.bits)
    }
    guard layout.vector == 1 else { return vectors(table, rounds: rounds) }
    let masses = sensitivities.map { layout.arrangement.arranged($0) }
    let fitted = try Parallel.map(layout.groups) { group in
      Result { () throws -> (WeightHistogram, [Float]) in
        let histogram = try histogram(group)
        let centroids = NearestCentroid.refit(
          histogram, table[group * pitch..<(group + 1) * pitch].map(Double.init),
          masses: histogram.masses(of: masses), rounds: rounds)
        return (histogram, centroids.map(Float.init))
      }
    }.map { try $0.get() }
    let rounded = StoredEntries(rounding: fitted.flatMap(\.1), form, groups: layout.groups)
    let values = rounded.values
    let assigned = Parallel.map(layout.groups) { group in
      Self.assign(fitted[group].0, values[group * pitch..<(group + 1) * pitch])
    }
    return tensor(
      rounded.selecting(assigned.map(\.places), size: 1 << form.bits), assigned.flatMap(\.indices))
  }

  /// - Returns: where the values that serve some weight are, ascending, and each weight's place among them.
  private static func assign(
    _ histogram: WeightHistogram, _ values: ArraySlice<Float>
  ) -> (places: [Int], indices: [UInt8]) {
    let order = values.indices.sorted { values[$0] < values[$1] }
    let cells = NearestCentroid.assign(histogram.values, to: order.map { Double(values[$0]) })
    // Rounding may leave an entry with no weight to serve.
    let used = NearestCentroid.used(cells)
    let rank = Dictionary(uniqueKeysWithValues: used.enumerated().map { ($1, UInt8($0)) })
    return (
      used.map { order[$0] - values.startIndex }, histogram.gather(cells.map { rank[$0] ?? 0 })
    )
  }

  private func vectors(_ table: [Float], rounds: Int) -> PalettizedTensor {
    var table = table
    for _ in 0..<rounds {
      table = HardClustering(arranged: arranged, layout, table: table).refitted()
    }
    let rounded = StoredEntries(rounding: table, form, groups: layout.groups)
    let clustering = HardClustering(arranged: arranged, layout, table: rounded.values)
    return tensor(
      rounded.padded(groups: layout.groups, to: layout.vector << form.bits), clustering.indices)
  }

  /// The tensor of fixed indices, in the arranged order, and trained entries.
  package func palettized(_ table: [Float], indices: [UInt8]) -> PalettizedTensor {
    tensor(
      StoredEntries(rounding: table, form, groups: layout.groups)
        .padded(groups: layout.groups, to: layout.vector << form.bits), indices)
  }

  private func tensor(_ entries: StoredEntries, _ indices: [UInt8]) -> PalettizedTensor {
    PalettizedTensor(
      layout: layout, bits: form.bits, entries: entries, indices: layout.arrangement.restored(indices),
      scale: scale.map { HalfPrecision.encode($0) })
  }
}

extension WeightHistogram {
  /// Each row's summed sensitivities, or nil where there are none.
  fileprivate func masses(of sensitivities: Buffer?) -> [Double]? {
    guard let masses = sensitivities.map({ scatter($0) }), masses.contains(where: { $0 > 0 }) else {
      return nil
    }
    return masses
  }
}
