internal import CKernels

/// A matrix of few ranks: `scale · left · right`.
package struct LowRank: Sendable {
  package let rows, width, rank: Int
  /// `[rows, rank]`, scaled.
  private let left: Buffer
  /// The right factor's columns in panels of 64, each `[rank, 64]`: neighbours in a sum are neighbours in memory.
  private let panels: Buffer

  /// - Parameters:
  ///   - left: `[rows, rank]`
  ///   - right: `[rank, width]`
  package init(_ left: Buffer, _ right: Buffer, rank: Int, scale: Float) {
    precondition(
      rank > 0 && left.count.isMultiple(of: rank) && right.count.isMultiple(of: rank),
      "\(left.count) and \(right.count) elements of rank \(rank)")
    (rows, width, self.rank) = (left.count / rank, right.count / rank, rank)
    let scaled = Buffer(uninitialized: left.count)
    scaled.withMutableSpan(0..<scaled.count) { y in
      for index in 0..<left.count { y[index] = scale * left[index] }
    }
    self.left = scaled
    let panel = Int(SD_LOW_RANK_PANEL)
    let count = (width + panel - 1) / panel
    panels = Buffer(repeating: 0, count: count * rank * panel)
    for index in 0..<count {
      let first = index * panel
      let some = min(panel, width - first)
      for row in 0..<rank {
        let start = row * width + first
        panels.copy(from: right, start..<start + some, at: (index * rank + row) * panel)
      }
    }
  }

  /// Adds some rows and columns of the matrix to a block of `y`.
  ///
  /// Every element is a sum in the order of the ranks, whatever else is asked for.
  ///
  /// - Parameters:
  ///   - offset: where the block begins.
  ///   - pitch: from a row of the block to the next.
  package func add(rows some: Range<Int>, columns: Range<Int>, into y: Buffer, at offset: Int, pitch: Int) {
    guard !some.isEmpty, !columns.isEmpty else { return }
    precondition(
      some.lowerBound >= 0 && some.upperBound <= rows && columns.lowerBound >= 0 && columns.upperBound <= width
        && offset >= 0 && pitch >= columns.count && offset + (some.count - 1) * pitch + columns.count <= y.count,
      "rows \(some) of \(rows), columns \(columns) of \(width)")
    sd_low_rank_add(
      left.pointer + some.lowerBound * rank, rank, panels.pointer, columns.lowerBound, some.count, columns.count,
      y.pointer + offset, pitch)
  }
}
