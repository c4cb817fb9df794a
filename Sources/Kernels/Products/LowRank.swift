internal import CKernels

/// Products of few ranks.
package enum LowRank {
  /// Adds some rows and columns of `scale · left · right` to a block of `y`.
  ///
  /// Every element is a sum in the order of the ranks, whatever else is asked for.
  ///
  /// - Parameters:
  ///   - left: `[rows, rank]`
  ///   - right: `[rank, width]`
  ///   - offset: where the block begins.
  ///   - pitch: from a row of the block to the next.
  package static func add(
    _ left: Buffer, rows: Range<Int>, rank: Int, _ right: Buffer, width: Int, columns: Range<Int>, scale: Float,
    into y: Buffer, at offset: Int, pitch: Int
  ) {
    guard !rows.isEmpty, !columns.isEmpty else { return }
    precondition(
      rows.lowerBound >= 0 && rows.upperBound * rank <= left.count && rank * width <= right.count
        && columns.lowerBound >= 0 && columns.upperBound <= width && offset >= 0 && pitch >= columns.count
        && offset + (rows.count - 1) * pitch + columns.count <= y.count,
      "rows \(rows) of rank \(rank), columns \(columns) of \(width)")
    sd_low_rank_add(
      left.pointer + rows.lowerBound * rank, rank, scale, right.pointer + columns.lowerBound, width, rows.count,
      columns.count, y.pointer + offset, pitch)
  }
}
