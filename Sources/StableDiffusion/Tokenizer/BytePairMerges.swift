/// The vocabulary and the merges of a byte-pair encoding (Sennrich et al. 2016).
package struct BytePairMerges: Sendable {
  /// Numbers of tokens by their spelling.
  package let vocabulary: [String: Int]
  /// Pairs of symbols, the earliest merge first.
  package let pairs: [(left: String, right: String)]
  /// How early a pair, `left right`, is merged.
  private let ranks: [String: Int]

  /// - Parameters:
  ///   - pairs: the earliest first.
  ///   - file: where the merges come from, for messages.
  /// - Throws: ``ConfigurationError`` if a pair's union is no token.
  init(vocabulary: [String: Int], pairs: [(String, String)], file: String) throws(ConfigurationError) {
    for (index, pair) in pairs.enumerated() where vocabulary[pair.0 + pair.1] == nil {
      throw .unreadable(
        file, reason: "merge \(index + 1): expected two symbols whose union is a token, found '\(pair.0) \(pair.1)'")
    }
    self.vocabulary = vocabulary
    self.pairs = pairs
    ranks = Dictionary(pairs.enumerated().map { ("\($1.0) \($1.1)", $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Joins neighbouring symbols, the earliest pair of the list first, until no pair is in it.
  package func merged(_ symbols: [String]) -> [String] {
    var symbols = symbols
    while symbols.count > 1 {
      var best: (rank: Int, at: Int)?
      for at in 0..<symbols.count - 1 {
        guard let rank = ranks[symbols[at] + " " + symbols[at + 1]] else { continue }
        if best.map({ rank < $0.rank }) ?? true { best = (rank, at) }
      }
      guard let best else { break }
      let (left, right) = (symbols[best.at], symbols[best.at + 1])
      var next: [String] = []
      var at = 0
      while at < symbols.count {
        if at + 1 < symbols.count, symbols[at] == left, symbols[at + 1] == right {
          next.append(left + right)
          at += 2
        } else {
          next.append(symbols[at])
          at += 1
        }
      }
      symbols = next
    }
    return symbols
  }
}
