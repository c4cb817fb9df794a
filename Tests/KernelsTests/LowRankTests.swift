import Kernels
import Testing

/// Products of few ranks against sums in double precision, whole and in parts.
@Suite struct LowRankTests {
  @Test(arguments: [1, 4, 37]) func addsTheProductWhateverThePart(rank: Int) {
    let (rows, width) = (23, 151)
    let (left, right, start) = (
      numbers(rows * rank, seed: 1), numbers(rank * width, seed: 2), numbers(rows * width, seed: 3)
    )
    func added(_ blocks: [(rows: Range<Int>, columns: Range<Int>)]) -> Buffer {
      let y = Buffer(start.elements)
      let matrix = LowRank(left, right, rank: rank, scale: 0.7)
      for block in blocks {
        matrix.add(
          rows: block.rows, columns: block.columns, into: y,
          at: block.rows.lowerBound * width + block.columns.lowerBound, pitch: width)
      }
      return y
    }
    let whole = added([(0..<rows, 0..<width)])
    let expected = (0..<rows * width).map { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: width)
      return (0..<rank).reduce(Double(start[index])) {
        $0 + 0.7 * Double(left[row * rank + $1]) * Double(right[$1 * width + column])
      }
    }
    // A rounding for each rank, of sums of about the square root of so many.
    #expect(relativeError(whole, expected) < 1e-6)
    let rowByRow = added((0..<rows).map { ($0..<$0 + 1, 0..<width) })
    #expect(rowByRow.bytes == whole.bytes)
    let pieces = added([(0..<5, 0..<width), (5..<rows, 0..<3), (5..<rows, 3..<80), (5..<rows, 80..<width)])
    #expect(pieces.bytes == whole.bytes)
  }
}
