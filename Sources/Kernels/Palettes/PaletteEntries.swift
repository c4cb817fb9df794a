internal import CKernels

/// Weights as entries of small tables, in the order in which those of a table are neighbours.
package enum PaletteEntries {
  /// `y[v · vector + e] = table[group of v][index_v][e]`
  ///
  /// - Parameters:
  ///   - table: `[groups, entries, vector]`
  ///   - indices: an equal number for each group.
  package static func gather(
    _ table: Buffer, _ indices: [UInt8], groups: Int = 1, vector: Int = 1
  ) -> Buffer {
    let y = Buffer(uninitialized: indices.count * vector)
    let pitch = table.count / groups
    mapPieces(indices, groups, vector) { group, range, indices in
      let largest = sd_gather_entries(
        table.pointer + group * pitch, Int32(pitch / vector), indices, range.count, Int32(vector),
        y.pointer + range.lowerBound * vector)
      precondition(largest < pitch / vector, "palette: entry \(largest) of \(pitch / vector)")
    }
    return y
  }

  /// What uses each entry: how many vectors, `[groups, entries]`, and their sum, `[groups, entries, vector]`.
  ///
  /// - Parameter entries: of one group.
  package static func cells(
    _ elements: Buffer, _ indices: [UInt8], entries: Int, groups: Int = 1, vector: Int = 1
  ) -> (counts: [Double], sums: [Double]) {
    precondition(
      elements.count == indices.count * vector && (1...256).contains(entries),
      "palette: \(elements.count) numbers, \(indices.count) indices of \(entries) entries")
    let parts = mapPieces(indices, groups, vector) { group, range, indices in
      var counts = [Double](repeating: 0, count: entries)
      var sums = [Double](repeating: 0, count: entries * vector)
      let largest = sd_sum_entries(
        elements.pointer + range.lowerBound * vector, indices, range.count, Int32(entries), Int32(vector), &counts,
        &sums)
      precondition(largest < entries, "palette: entry \(largest) of \(entries)")
      return (group: group, counts: counts, sums: sums)
    }
    var counts = [Double](repeating: 0, count: groups * entries)
    var sums = [Double](repeating: 0, count: groups * entries * vector)
    for part in parts {
      for (at, count) in part.counts.enumerated() { counts[part.group * entries + at] += count }
      for (at, sum) in part.sums.enumerated() { sums[part.group * entries * vector + at] += sum }
    }
    return (counts, sums)
  }

  /// For each number of the table the sum of `dy` where it was used, added in double precision.
  ///
  /// - Parameter entries: of one group.
  package static func gradient(
    _ dy: Buffer, _ indices: [UInt8], entries: Int, groups: Int = 1, vector: Int = 1
  ) -> Buffer {
    Buffer(cells(dy, indices, entries: entries, groups: groups, vector: vector).sums.map { Float($0) })
  }

  /// Vectors of a piece.
  private static let piece = 1 << 16

  /// The results of `body` for pieces of a fixed length, in order: its group, the vectors and their indices.
  @discardableResult
  private static func mapPieces<Result: Sendable>(
    _ indices: [UInt8], _ groups: Int, _ vector: Int,
    _ body: @Sendable (Int, Range<Int>, UnsafePointer<UInt8>) -> Result
  ) -> [Result] {
    check(indices.count, groups)
    precondition((1...8).contains(vector), "palette: vectors of \(vector)")
    let length = indices.count / groups
    let pieces = (0..<groups).flatMap { group in
      (group * length..<(group + 1) * length).cut(length: piece).map { (group: group, range: $0) }
    }
    return indices.withUnsafeBufferPointer { indices in
      guard let first = indices.baseAddress else { return [] }
      nonisolated(unsafe) let base = first
      return Parallel.map(pieces.count) { body(pieces[$0].group, pieces[$0].range, base + pieces[$0].range.lowerBound) }
    }
  }

  /// The nearest entry of each vector; of equally near ones, the first.
  ///
  /// - Parameter table: `[groups, entries, vector]`
  package static func nearest(
    _ elements: Buffer, _ table: [Float], groups: Int, vector: Int
  ) -> [UInt8] {
    let vectors = elements.count / vector
    check(vectors, groups)
    let pitch = table.count / groups
    precondition(
      (1...8).contains(vector) && (1...256).contains(pitch / vector), "palette: \(pitch) numbers")
    let length = vectors / groups
    return [UInt8](unsafeUninitializedCapacity: vectors) { indices, count in
      nonisolated(unsafe) let base = indices.baseAddress
      Parallel.forEach(groups) { group in
        let first = group * length
        table.withUnsafeBufferPointer { table in
          guard let table = table.baseAddress, let base else { return }
          nonisolated(unsafe) let (entries, nearest) = (table + group * pitch, base + first)
          Parallel.ranges(length, grain: 4096) { part in
            let (x, result) = (elements.pointer + (first + part.lowerBound) * vector, nearest + part.lowerBound)
            if vector == 1 {
              sd_nearest_numbers(x, part.count, entries, Int32(pitch), result)
            } else {
              sd_nearest_vectors(x, part.count, entries, Int32(pitch / vector), Int32(vector), result)
            }
          }
        }
      }
      count = vectors
    }
  }

  private static func check(_ indices: Int, _ groups: Int) {
    precondition(groups > 0 && indices % groups == 0, "palette: \(indices) indices of \(groups) groups")
  }
}
