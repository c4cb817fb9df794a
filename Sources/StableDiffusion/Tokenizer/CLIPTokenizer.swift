internal import Foundation

/// CLIP's byte-level tokenizer: text to the numbers a text encoder takes.
///
/// Known to transformers as `CLIPTokenizer`. ``Dialect/apple`` reproduces what ml-stable-diffusion's Swift package does
/// instead, so that its pictures can be compared.
package struct CLIPTokenizer: Sendable {
  package enum Dialect: String, Sendable, CaseIterable {
    /// The true encoding of CLIP.
    case clip
    /// Words are split at spaces alone, characters are not split into bytes, and a long prompt loses its end token.
    case apple
  }

  package let merges: BytePairMerges
  package let dialect: Dialect
  package let startOfText: Int
  package let endOfText: Int
  package let padding: Int
  /// Tokens of a prompt, start and end included.
  package let length: Int
  /// Spellings that stand for one token wherever they occur, longest first: those of the text as it is, and those of the
  /// text after clean-up.
  private let plainTokens, normalizedTokens: [TokenizerFiles.AddedToken]
  private let unknown: Int

  /// What Stable Diffusion's OpenCLIP encoders are filled up with: number 0.
  package static let openCLIPPadding = "!"

  /// - Parameters:
  ///   - folder: see ``TokenizerFiles``.
  package init(folder: String, length: Int = 77, dialect: Dialect = .clip) throws(ConfigurationError) {
    try self.init(TokenizerFiles(folder: folder), length: length, dialect: dialect)
  }

  /// - Parameters:
  ///   - length: what a prompt is cut and padded to, unless the configuration says less.
  package init(_ files: TokenizerFiles, length: Int = 77, dialect: Dialect = .clip) throws(ConfigurationError) {
    merges = files.merges
    self.dialect = dialect
    let vocabulary = files.merges.vocabulary
    func number(_ key: String, _ fallback: String) throws(ConfigurationError) -> (String, Int) {
      let text = files.specialTokens[key] ?? fallback
      guard let number = files.addedTokens.last(where: { $0.text == text })?.numbers.first ?? vocabulary[text] else {
        throw .unsupported(files.origin, key: key, value: "'\(text)'", expected: "a token of the vocabulary")
      }
      return (text, number)
    }
    let start = try number("bos_token", "<|startoftext|>")
    let end = try number("eos_token", "<|endoftext|>")
    let filler = try number("pad_token", end.0)
    (startOfText, endOfText, padding) = (start.1, end.1, filler.1)
    unknown = try number("unk_token", end.0).1
    self.length = min(length, files.longest ?? length)
    guard self.length >= 3 else {
      throw .unsupported(files.origin, key: "model_max_length", value: "\(self.length)", expected: "at least 3")
    }
    let specials = [start, end, filler].map {
      TokenizerFiles.AddedToken(text: $0.0, numbers: [$0.1], isNormalized: true, isWholeWord: false)
    }
    let all = (files.addedTokens + specials).sorted { $0.text.count > $1.text.count }
    plainTokens = all.filter { !$0.isNormalized }
    normalizedTokens = all.filter(\.isNormalized).map {
      TokenizerFiles.AddedToken(
        text: PromptText.normalized($0.text), numbers: $0.numbers, isNormalized: true, isWholeWord: $0.isWholeWord)
    }
    // Of spaces alone nothing is left, and nothing is everywhere.
    .filter { !$0.text.isEmpty }
  }

  /// Numbers of the words alone, without start, end, limit or padding.
  package func words(_ text: String) -> [Int] {
    switch dialect {
    case .clip: encoded(text)
    case .apple: encodedAsApple(text)
    }
  }

  /// A prompt as the text encoder takes it: ``length`` numbers.
  package func callAsFunction(_ text: String) -> [Int] { framed(words(text)) }

  /// Start, words, end and padding; words that do not fit are dropped.
  package func framed(_ words: [Int]) -> [Int] {
    var tokens = [startOfText] + words.prefix(length - 2) + [endOfText]
    if dialect == .apple, words.count > length - 2 {
      tokens = Array(([startOfText] + words).prefix(length))
    }
    return tokens + [Int](repeating: padding, count: length - tokens.count)
  }

  private func encoded(_ text: String) -> [Int] {
    Self.split(text, plainTokens).flatMap { part -> [Int] in
      switch part {
      case .tokens(let numbers): numbers
      case .text(let text):
        Self.split(PromptText.normalized(text), normalizedTokens).flatMap { part -> [Int] in
          switch part {
          case .tokens(let numbers): numbers
          case .text(let text): PromptText.words(text).flatMap { tokens($0) }
          }
        }
      }
    }
  }

  private enum Part {
    case tokens([Int])
    case text(String)
  }

  /// A text cut where these tokens stand, the first and then the longest first.
  private static func split(_ text: String, _ tokens: [TokenizerFiles.AddedToken]) -> [Part] {
    guard !tokens.isEmpty else { return [.text(text)] }
    var parts: [Part] = []
    var rest = Substring(text)
    while !rest.isEmpty {
      let found = tokens.compactMap { token in
        place(of: token, in: rest).map { ($0, token.numbers) }
      }.min { $0.0.lowerBound < $1.0.lowerBound }
      let words = rest[..<(found?.0.lowerBound ?? rest.endIndex)]
      if !words.isEmpty { parts.append(.text(String(words))) }
      guard let found else { break }
      parts.append(.tokens(found.1))
      rest = rest[found.0.upperBound...]
    }
    return parts
  }

  private static func place(of token: TokenizerFiles.AddedToken, in text: Substring) -> Range<Substring.Index>? {
    var rest = text
    while let found = rest.range(of: token.text, options: .literal) {
      func isWord(_ character: Character?) -> Bool {
        character.map { $0.isLetter || $0.isNumber || $0 == "_" } ?? false
      }
      guard token.isWholeWord else { return found }
      let before = found.lowerBound > text.startIndex ? text[text.index(before: found.lowerBound)] : nil
      let after = found.upperBound < text.endIndex ? text[found.upperBound] : nil
      if !isWord(before), !isWord(after) { return found }
      rest = rest[found.upperBound...]
    }
    return nil
  }

  private func tokens(_ word: String) -> [Int] {
    var symbols = word.utf8.map { PromptText.characters[Int($0)] }
    symbols[symbols.count - 1] += "</w>"
    return merges.merged(symbols).map { merges.vocabulary[$0] ?? unknown }
  }

  private func encodedAsApple(_ text: String) -> [Int] {
    let normalized = text.trimmingCharacters(in: .whitespacesAndNewlines).lowercased()
    return normalized.split(separator: " ").flatMap { word in
      var symbols = word.map { String($0) }
      symbols[symbols.count - 1] += "</w>"
      return merges.merged(symbols).map { merges.vocabulary[$0] ?? endOfText }
    }
  }
}
