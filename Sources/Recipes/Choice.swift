/// One of a few words; another word is refused with all of them named.
package protocol Choice: RawRepresentable<String>, CaseIterable, Codable, Sendable {}

extension Choice {
  package init(from decoder: any Decoder) throws {
    let word = try decoder.singleValueContainer().decode(String.self)
    guard let choice = Self(rawValue: word) else {
      let words = Self.allCases.map(\.rawValue)
      throw RecipeError.invalid(
        path: KeyPathName(decoder.codingPath).description,
        expected: words.dropLast().joined(separator: ", ")
          + (words.count > 1 ? " or " : "") + words[words.count - 1],
        found: "'\(word)'"
          + (EditDistance.nearest(to: word, among: words).map { "; did you mean \($0)?" } ?? ""))
    }
    self = choice
  }
}
