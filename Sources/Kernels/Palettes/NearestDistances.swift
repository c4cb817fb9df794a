internal import CKernels

/// Squared distances of vectors to the nearest of what was chosen so far, for choices in proportion to them
/// (k-means++, Arthur & Vassilvitskii 2007).
package struct NearestDistances: Sendable {
  private let elements: Buffer
  private let range: Range<Int>
  private let dimension: Int
  private let distances: Buffer
  private let pieces: [Range<Int>]

  /// - Parameter range: vectors of `elements`, `[vectors, dimension]`.
  package init(_ elements: Buffer, _ range: Range<Int>, dimension: Int) {
    precondition(
      (1...8).contains(dimension) && range.lowerBound >= 0 && range.upperBound * dimension <= elements.count,
      "distances: \(range) of \(elements.count) numbers")
    self.elements = elements
    self.range = range
    self.dimension = dimension
    distances = Buffer(repeating: .infinity, count: range.count)
    pieces = (0..<range.count).cut(length: 1 << 16)
  }

  /// Takes a vector into account, then chooses one.
  ///
  /// - Parameter share: 0 to 1, of the sum of all distances, where the choice lies.
  /// - Returns: its number within the range.
  package func choose(after entry: [Float], _ share: Double) -> Int {
    precondition(entry.count == dimension, "distances: to \(entry.count) numbers")
    let totals = Parallel.map(pieces.count) { piece in
      sd_nearer(
        elements.pointer + (range.lowerBound + pieces[piece].lowerBound) * dimension, pieces[piece].count, entry,
        Int32(dimension), distances.pointer + pieces[piece].lowerBound)
    }
    var rest = share * totals.reduce(0, +)
    for (piece, total) in zip(pieces, totals) {
      guard rest >= total, piece.upperBound < range.count else {
        return piece.first { at in
          rest -= Double(distances[at])
          return rest < 0
        } ?? piece.last { distances[$0] > 0 } ?? piece.lowerBound
      }
      rest -= total
    }
    return 0
  }
}
