package import Kernels

/// Hard palettes of a tensor: every weight, or vector of weights, is the nearest entry of its group.
///
/// The gradient goes straight through to the weights, and to an entry as the sum over its cell, ∂L/∂c_j = Σ_{i∈j} g_i.
/// Nothing is kept of the weights: every pass looks for their nearest entries again (`docs/decisions/0012`).
package struct HardClustering: Sendable {
  /// In the order of ``PaletteLayout/arrangement``.
  private let elements: Buffer
  private let layout: PaletteLayout
  /// `[groups, entries, vector]`
  package let table: [Float]

  /// - Parameter elements: in the arranged order; every pass takes them as they are by then.
  package init(arranged elements: Buffer, _ layout: PaletteLayout, table: [Float]) {
    self.elements = elements
    self.layout = layout
    self.table = table
  }

  private var entries: Int { table.count / layout.groups / layout.vector }

  /// The number of each weight's, or vector's, entry within its group, in the arranged order.
  package var indices: [UInt8] {
    PaletteEntries.nearest(elements, table, groups: layout.groups, vector: layout.vector)
  }

  /// Every weight's entry, in the arranged order.
  package func hardWeights() -> Buffer {
    PaletteEntries.gather(Buffer(table), indices, groups: layout.groups, vector: layout.vector)
  }

  /// ∂L/∂c, of the table's shape.
  package func entryPullback(_ dy: Buffer) -> Buffer {
    PaletteEntries.gradient(dy, indices, entries: entries, groups: layout.groups, vector: layout.vector)
  }

  /// Entries moved to the means of their cells. Those of empty cells restart in the worst cells or, where entries are
  /// vectors, at the vectors with the largest errors.
  package func refitted() -> [Float] {
    let (d, entries, indices) = (layout.vector, entries, indices)
    let cells = PaletteEntries.cells(elements, indices, entries: entries, groups: layout.groups, vector: d)
    var next = table
    for cell in cells.counts.indices where cells.counts[cell] > 0 {
      for e in 0..<d { next[cell * d + e] = Float(cells.sums[cell * d + e] / cells.counts[cell]) }
    }
    let revived = Parallel.map(layout.groups) { [next] group -> [Float]? in
      let own = group * entries..<(group + 1) * entries
      let empty = own.filter { cells.counts[$0] == 0 }
      guard !empty.isEmpty else { return nil }
      if d == 1, let histogram = try? WeightHistogram(elements, range: layout.range(group)) {
        return NearestCentroid.refit(histogram, table[own].map(Double.init), rounds: 1).map(Float.init)
      }
      var table = Array(next[own.lowerBound * d..<own.upperBound * d])
      for (cell, vector) in zip(empty, farthest(empty.count, of: group, indices)) {
        for e in 0..<d { table[(cell - own.lowerBound) * d + e] = elements.pointer[vector * d + e] }
      }
      return table
    }
    let size = entries * d
    for case (let group, let table?) in revived.enumerated() {
      next.replaceSubrange(group * size..<(group + 1) * size, with: table)
    }
    return next
  }

  /// The vectors of a group that are farthest from their entries, the very farthest first; of equally far ones, the
  /// first.
  private func farthest(_ count: Int, of group: Int, _ indices: [UInt8]) -> [Int] {
    var found: [(error: Float, vector: Int)] = []
    for vector in layout.indexRange(group) {
      let error = error(vector, group * entries + Int(indices[vector]))
      guard error > (found.count < count ? 0 : found[count - 1].error) else { continue }
      if found.count == count { found.removeLast() }
      found.insert((error, vector), at: found.firstIndex { $0.error < error } ?? found.endIndex)
    }
    return found.map(\.vector)
  }

  private func error(_ vector: Int, _ entry: Int) -> Float {
    let d = layout.vector
    return (0..<d).reduce(0) { sum, e in
      let difference = elements.pointer[vector * d + e] - table[entry * d + e]
      return sum + difference * difference
    }
  }

  /// Entries to start from: far from one another (k-means++, Arthur & Vassilvitskii 2007), then Lloyd's iterations.
  package static func start(
    arranged elements: Buffer, _ layout: PaletteLayout, entries: Int, rounds: Int = 20
  ) -> [Float] {
    let parts = Parallel.map(layout.groups) { group in
      spread(elements, layout.indexRange(group), dimension: layout.vector, entries: entries)
    }
    var table = parts.flatMap { $0 }
    for _ in 0..<rounds {
      let next = HardClustering(arranged: elements, layout, table: table).refitted()
      if next == table { break }
      table = next
    }
    return table
  }

  private static func spread(
    _ elements: Buffer, _ range: Range<Int>, dimension d: Int, entries: Int
  ) -> [Float] {
    var random = SplitMix64(state: UInt64(range.lowerBound) &* 31 &+ UInt64(range.count))
    let distances = NearestDistances(elements, range, dimension: d)
    var chosen = range.lowerBound + range.count / 2
    var table: [Float] = []
    for _ in 0..<entries {
      table += (0..<d).map { elements.pointer[chosen * d + $0] }
      chosen = range.lowerBound + distances.choose(after: Array(table.suffix(d)), random.uniform())
    }
    return table
  }
}

/// Steele, Lea & Flood's generator (2014), for choices that must be the same every time.
private struct SplitMix64 {
  var state: UInt64

  mutating func uniform() -> Double {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
  }
}
