/// Products of few ranks, one row at a time.
package enum LowRank {
  /// Adds some columns of a row of `scale · left · right` to `y`.
  ///
  /// Every element is a sum in the order of the ranks, whatever else is asked for.
  ///
  /// - Parameters:
  ///   - left: `[rows, rank]`
  ///   - right: `[rank, width]`
  package static func add(
    _ left: Buffer, row: Int, rank: Int, _ right: Buffer, width: Int, columns: Range<Int>, scale: Float, into y: Buffer,
    at offset: Int
  ) {
    precondition(
      row >= 0 && (row + 1) * rank <= left.count && rank * width <= right.count && columns.lowerBound >= 0
        && columns.upperBound <= width && offset >= 0 && offset + columns.count <= y.count,
      "row \(row) of rank \(rank), columns \(columns) of \(width)")
    let to = y.pointer + offset
    for r in 0..<rank {
      let factor = scale * left.pointer[row * rank + r]
      let from = right.pointer + r * width + columns.lowerBound
      for index in 0..<columns.count { to[index] += factor * from[index] }
    }
  }
}
