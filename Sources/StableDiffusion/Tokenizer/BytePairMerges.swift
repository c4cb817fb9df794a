internal import Foundation
internal import StrictJSON

/// The vocabulary and the merges of a byte-pair encoding (Sennrich et al. 2016), from `vocab.json` and `merges.txt`.
package struct BytePairMerges: Sendable {
  /// Numbers of tokens by their spelling.
  package let vocabulary: [String: Int]
  /// How early a pair, `left right`, is merged.
  private let ranks: [String: Int]

  /// - Parameter folder: a tokenizer folder, or any that holds `vocab.json` and `merges.txt`.
  package init(folder: String) throws(ConfigurationError) {
    vocabulary = try Self.vocabulary(folder + "/vocab.json")
    ranks = try Self.ranks(folder + "/merges.txt", vocabulary)
  }

  private static func vocabulary(_ file: String) throws(ConfigurationError) -> [String: Int] {
    let bytes = [UInt8](try contents(file))
    let json: StrictJSON
    do {
      json = try StrictJSON.parse(bytes)
    } catch {
      throw .unreadable(
        file, reason: "expected \(error.expected) at line \(error.line), column \(error.column)")
    }
    guard case .object(let members) = json, !members.isEmpty else {
      throw .unreadable(file, reason: "expected an object of tokens and their numbers, found \(json.kind)")
    }
    var vocabulary: [String: Int] = [:]
    for member in members {
      guard case .integer(let number) = member.value, number >= 0, number < 10_000_000 else {
        throw .unsupported(
          file, key: member.key, value: member.value.kind, expected: "a token's number from 0")
      }
      vocabulary[member.key] = number
    }
    return vocabulary
  }

  private static func ranks(
    _ file: String, _ vocabulary: [String: Int]
  ) throws(ConfigurationError) -> [String: Int] {
    let text = String(decoding: try contents(file), as: UTF8.self)
    var ranks: [String: Int] = [:]
    for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let words = line.split(separator: " ")
      // The first line is a version.
      if words.isEmpty || (number == 0 && line.hasPrefix("#version")) { continue }
      guard words.count == 2, vocabulary[String(words[0] + words[1])] != nil else {
        throw .unreadable(
          file,
          reason: "line \(number + 1): expected two symbols whose union vocab.json has, found '\(line.prefix(40))'")
      }
      let pair = "\(words[0]) \(words[1])"
      if ranks[pair] == nil { ranks[pair] = ranks.count }
    }
    guard !text.isEmpty else { throw .unreadable(file, reason: "expected a pair of symbols a line, found none") }
    return ranks
  }

  private static func contents(_ file: String) throws(ConfigurationError) -> Data {
    guard let data = FileManager.default.contents(atPath: file) else {
      throw .unreadable(file, reason: "no such file: a tokenizer has vocab.json and merges.txt")
    }
    return data
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
