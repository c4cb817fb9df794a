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
  /// Spellings that stand for one token wherever they occur, longest first.
  private let specials: [(text: String, number: Int)]
  private let unknown: Int

  /// - Parameters:
  ///   - folder: holds `vocab.json`, `merges.txt` and perhaps `tokenizer_config.json`.
  ///   - length: what a prompt is cut and padded to, unless the configuration says less.
  package init(folder: String, length: Int = 77, dialect: Dialect = .clip) throws(ConfigurationError) {
    merges = try BytePairMerges(folder: folder)
    self.dialect = dialect
    let file = folder + "/tokenizer_config.json"
    let json = FileManager.default.fileExists(atPath: file) ? try JSONConfiguration(file: file) : nil
    let vocabulary = merges.vocabulary
    func number(_ key: String, _ fallback: String) throws(ConfigurationError) -> (String, Int) {
      let text = try json?.token(key) ?? fallback
      guard let number = vocabulary[text] else {
        throw .unsupported(
          json == nil ? folder + "/vocab.json" : file, key: key, value: "'\(text)'",
          expected: "a token of vocab.json")
      }
      return (text, number)
    }
    let start = try number("bos_token", "<|startoftext|>")
    let end = try number("eos_token", "<|endoftext|>")
    let filler = try number("pad_token", end.0)
    (startOfText, endOfText) = (start.1, end.1)
    unknown = try number("unk_token", end.0).1
    // Apple's package always fills up with the end token, whatever the model was trained with.
    padding = dialect == .apple ? end.1 : filler.1
    let longest = try json?.number("model_max_length", default: Double(length)) ?? Double(length)
    guard min(longest, Double(length)) >= 3 else {
      throw .unsupported(
        file, key: "model_max_length", value: "\(min(longest, Double(length)))", expected: "at least 3")
    }
    self.length = Int(min(Double(length), longest))
    specials = [start, end, filler].reduce(into: []) { list, token in
      if !list.contains(where: { $0.text == token.0 }) { list.append((token.0, token.1)) }
    }.sorted { $0.text.count > $1.text.count }
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
    var numbers: [Int] = []
    var rest = Substring(PromptText.normalized(text))
    while !rest.isEmpty {
      let found = specials.compactMap { special in
        rest.range(of: special.text, options: .literal).map { ($0, special.number) }
      }.min { $0.0.lowerBound < $1.0.lowerBound }
      for word in PromptText.words(String(rest[..<(found?.0.lowerBound ?? rest.endIndex)])) {
        numbers += tokens(word)
      }
      guard let found else { break }
      numbers.append(found.1)
      rest = rest[found.0.upperBound...]
    }
    return numbers
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

extension JSONConfiguration {
  /// A token's spelling: a string, or an object with `content`; nil if absent.
  fileprivate func token(_ key: String) throws(ConfigurationError) -> String? {
    guard has(key) else { return nil }
    if let content = member(key, "content") { return content }
    return try string(key)
  }
}
