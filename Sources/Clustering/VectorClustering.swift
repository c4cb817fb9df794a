package import Kernels

/// Palettes of vectors: each group's vectors, every one its nearest palette entry.
///
/// The gradient goes straight through to the weights, and to an entry as the sum over its cell.
package struct VectorClustering: Sendable {
  /// In the order of ``PaletteLayout/arrangement``.
  private let elements: Buffer
  private let layout: PaletteLayout
  /// `[groups, entries, vector]`
  package let table: [Float]
  /// One for each vector, in the arranged order.
  package let indices: [UInt8]

  package init(arranged elements: Buffer, _ layout: PaletteLayout, table: [Float]) {
    self.elements = elements
    self.layout = layout
    self.table = table
    indices = PaletteEntries.nearest(elements, table, groups: layout.groups, vector: layout.vector)
  }

  /// The entries moved to the means of their cells, those of empty cells to the vectors with the largest errors.
  package func refitted() -> [Float] {
    let d = layout.vector
    let entries = table.count / layout.groups / d
    let cells = PaletteEntries.cells(elements, indices, entries: entries, groups: layout.groups, vector: d)
    var next = table
    for cell in cells.counts.indices where cells.counts[cell] > 0 {
      for e in 0..<d { next[cell * d + e] = Float(cells.sums[cell * d + e] / cells.counts[cell]) }
    }
    let moved = Parallel.map(layout.groups) { group in
      moves(of: (group * entries..<(group + 1) * entries).filter { cells.counts[$0] == 0 }, group: group)
    }
    for move in moved.joined() {
      for e in 0..<d { next[move.cell * d + e] = elements.pointer[move.vector * d + e] }
    }
    return next
  }

  /// For empty cells the vectors of their group that are farthest from their entries.
  private func moves(of empty: [Int], group: Int) -> [(cell: Int, vector: Int)] {
    guard !empty.isEmpty else { return [] }
    let worst = layout.indexRange(group).map { (error: error($0, group * table.count / layout.groups), vector: $0) }
      .sorted { $0.error == $1.error ? $0.vector < $1.vector : $0.error > $1.error }
    return zip(empty, worst).filter { $1.error > 0 }.map { ($0, $1.vector) }
  }

  private func error(_ vector: Int, _ start: Int) -> Float {
    let (d, entry) = (layout.vector, start + Int(indices[vector]) * layout.vector)
    return (0..<d).reduce(0) { sum, e in
      let difference = elements.pointer[vector * d + e] - table[entry + e]
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
      let next = VectorClustering(arranged: elements, layout, table: table).refitted()
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
