/// How many letters must change to make one word another (Levenshtein).
package enum EditDistance {
  static func between(_ a: String, _ b: String) -> Int {
    let b = Array(b)
    var row = Array(0...b.count)
    for (i, letter) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for j in b.indices {
        let changed = diagonal + (letter == b[j] ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(changed, row[j] + 1, diagonal + 1)
      }
    }
    return row[b.count]
  }

  /// The word that `word` was perhaps meant to be: at most two letters or a third of it off, upper
  /// and lower case aside.
  package static func nearest(to word: String, among words: [String]) -> String? {
    let scored = words.map { ($0, between(word.lowercased(), $0.lowercased())) }
    guard let best = scored.min(by: { $0.1 < $1.1 }), best.1 <= max(2, word.count / 3),
      best.1 < word.count
    else { return nil }
    return best.0
  }
}
