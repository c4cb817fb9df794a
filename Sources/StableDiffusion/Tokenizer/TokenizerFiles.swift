internal import CTokenizer
internal import Files
package import Foundation
internal import StrictJSON

/// What a tokenizer's folder says, in whichever of its files it says it.
///
/// transformers 4 writes `vocab.json` and `merges.txt`, transformers 5 `tokenizer.json` alone. Special tokens stand in
/// `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `tokenizer.json`; they are read with
/// transformers' precedence.
package struct TokenizerFiles: Sendable {
  /// A token beside the vocabulary's, such as one that textual inversion learned.
  struct AddedToken: Sendable {
    let text: String
    /// One number, or those of an embedding's vectors.
    let numbers: [Int]
    /// Whether it is looked for in the text after clean-up and lower case.
    let isNormalized: Bool
    /// Whether it counts only where no letter or digit touches it.
    let isWholeWord: Bool
  }

  /// The folder, or what stands for it in messages.
  let origin: String
  package let merges: BytePairMerges
  private(set) var addedTokens: [AddedToken] = []
  /// Spellings by role, such as `pad_token`.
  private(set) var specialTokens: [String: String] = [:]
  /// Tokens of a prompt, where the files say it.
  private(set) var longest: Int?

  /// Whether a folder holds a vocabulary.
  package static func exist(in folder: String) -> Bool {
    ["vocab.json", "tokenizer.json"].contains { FileManager.default.fileExists(atPath: "\(folder)/\($0)") }
  }

  /// - Parameter folder: a tokenizer folder, or any that holds a vocabulary.
  package init(folder: String) throws(ConfigurationError) {
    origin = folder
    func json(_ name: String) throws(ConfigurationError) -> JSONConfiguration? {
      let file = "\(folder)/\(name)"
      return FileManager.default.fileExists(atPath: file) ? try JSONConfiguration(file: file) : nil
    }
    let whole = try json("tokenizer.json")
    if FileManager.default.fileExists(atPath: folder + "/vocab.json") {
      let vocabulary = try Self.vocabulary(JSONConfiguration(file: folder + "/vocab.json"))
      merges = try BytePairMerges(
        vocabulary: vocabulary, pairs: Self.pairs(folder + "/merges.txt"), file: folder + "/merges.txt")
    } else if let whole {
      merges = try Self.merges(whole)
    } else {
      throw .unreadable(folder, reason: "no tokenizer: expected vocab.json and merges.txt, or tokenizer.json")
    }
    let config = try json("tokenizer_config.json")
    let map = try json("special_tokens_map.json")
    try Self.check(config, whole)
    for role in ["bos_token", "eos_token", "unk_token", "pad_token"] {
      // The newer file lists all added tokens, and then says all about the special ones too.
      let isNew = config?.has("added_tokens_decoder") ?? false
      let (first, second) = isNew || map == nil ? (config, map) : (map, config)
      specialTokens[role] = try Self.first(role, [first, second])
    }
    if specialTokens["pad_token"] == nil {
      specialTokens["pad_token"] = try Self.first("pad_token", [whole?.object("padding")])
    }
    if let config, config.has("model_max_length") {
      longest = Int(min(max(try config.number("model_max_length", canBeInfinite: true), 0), 1e6))
    }
    try addTokens(whole, config, json("added_tokens.json"))
  }

  /// CLIP's own vocabulary, which every Stable Diffusion model has unless it brings another.
  ///
  /// - Parameter padding: what prompts are filled up with; nil for the end token.
  package static func clip(padding: String? = nil) -> TokenizerFiles {
    let bytes = UnsafeRawBufferPointer(start: sd_clip_merges_start(), count: sd_clip_merges_count)
    let pairs = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line -> (String, String) in
      let words = line.split(separator: " ")
      return (String(words[0]), String(words[1]))
    }
    let letters = PromptText.charactersInOrder
    let tokens =
      letters + letters.map { $0 + "</w>" } + pairs.map { $0 + $1 } + ["<|startoftext|>", "<|endoftext|>"]
    let vocabulary = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) })
    guard let merges = try? BytePairMerges(vocabulary: vocabulary, pairs: pairs, file: "CLIP's merges") else {
      preconditionFailure("CLIP's merges do not fit their vocabulary")
    }
    return TokenizerFiles(origin: "CLIP's vocabulary", merges: merges).padded(with: padding)
  }

  private init(origin: String, merges: BytePairMerges) {
    self.origin = origin
    self.merges = merges
  }

  /// The same with another padding token, unless it is nil.
  package func padded(with token: String?) -> TokenizerFiles {
    var files = self
    if let token { files.specialTokens["pad_token"] = token }
    return files
  }

  /// What prompts are filled up with, where the files say it.
  package var padding: String? { specialTokens["pad_token"] }

  /// The same with embeddings.
  ///
  /// - Parameter tokens: spellings, in any case, with the numbers of their vectors, which follow those of the vocabulary.
  package func adding(_ tokens: [(text: String, numbers: [Int])]) -> TokenizerFiles {
    var files = self
    files.addedTokens += tokens.map {
      AddedToken(text: $0.text, numbers: $0.numbers, isNormalized: true, isWholeWord: false)
    }
    return files
  }

  // MARK: Files

  private static func first(
    _ role: String, _ files: [JSONConfiguration?]
  ) throws(ConfigurationError) -> String? {
    for case let file? in files {
      if let token = try file.token(role) { return token }
    }
    return nil
  }

  private static func vocabulary(_ json: JSONConfiguration) throws(ConfigurationError) -> [String: Int] {
    guard !json.keys.isEmpty else {
      throw .unreadable(json.file, reason: "expected an object of tokens and their numbers, found an empty one")
    }
    var vocabulary: [String: Int] = [:]
    for key in json.keys {
      guard case .integer(let number)? = json[key], (0..<10_000_000).contains(number) else {
        throw .unsupported(json.file, key: key, value: json.text(key), expected: "a token's number from 0")
      }
      vocabulary[key] = number
    }
    return vocabulary
  }

  private static func pairs(_ file: String) throws(ConfigurationError) -> [(String, String)] {
    guard FileManager.default.fileExists(atPath: file) else {
      throw .unreadable(file, reason: "no such file: a tokenizer has vocab.json and merges.txt, or tokenizer.json")
    }
    let text = try JSONConfiguration.text(file)
    var pairs: [(String, String)] = []
    for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let words = line.split(separator: " ")
      // The first line is a version.
      if words.isEmpty || (number == 0 && line.hasPrefix("#version")) { continue }
      guard words.count == 2 else {
        throw .unreadable(file, reason: "line \(number + 1): expected two symbols, found '\(line.prefix(40))'")
      }
      pairs.append((String(words[0]), String(words[1])))
    }
    guard !text.isEmpty else { throw .unreadable(file, reason: "expected a pair of symbols a line, found none") }
    return pairs
  }

  /// Of `tokenizer.json`: pairs are lists of two, or texts as in `merges.txt`.
  private static func merges(_ json: JSONConfiguration) throws(ConfigurationError) -> BytePairMerges {
    let model = json.object("model")
    guard case .string("BPE")? = model["type"], case .array(let list)? = model["merges"] else {
      throw .unsupported(
        json.file, key: "model", value: json.text("model"), expected: "a BPE model with a vocab and merges")
    }
    let vocabulary = try vocabulary(JSONConfiguration(file: json.file, model["vocab"] ?? .null))
    let pairs = list.compactMap { merge -> (String, String)? in
      switch merge {
      case .array(let sides):
        guard sides.count == 2, case .string(let left) = sides[0], case .string(let right) = sides[1] else {
          return nil
        }
        return (left, right)
      case .string(let text):
        let words = text.split(separator: " ")
        return words.count == 2 ? (String(words[0]), String(words[1])) : nil
      default: return nil
      }
    }
    guard pairs.count == list.count else {
      throw .unsupported(json.file, key: "merges", value: "a list", expected: "pairs of symbols")
    }
    return try BytePairMerges(vocabulary: vocabulary, pairs: pairs, file: json.file)
  }

  private mutating func addTokens(
    _ whole: JSONConfiguration?, _ config: JSONConfiguration?, _ added: JSONConfiguration?
  ) throws(ConfigurationError) {
    var tokens: [Int: AddedToken] = [:]
    func add(_ number: Int, _ json: JSONConfiguration) throws(ConfigurationError) {
      let isSpecial = try json.boolean("special", default: false)
      tokens[number] = AddedToken(
        text: try json.string("content"), numbers: [number],
        isNormalized: try json.boolean("normalized", default: !isSpecial),
        isWholeWord: try json.boolean("single_word", default: false))
    }
    for key in added?.keys ?? [] {
      guard let added else { continue }
      guard case .integer(let number)? = added[key] else {
        throw .unsupported(added.file, key: key, value: added.text(key), expected: "a token's number")
      }
      tokens[number] = AddedToken(text: key, numbers: [number], isNormalized: true, isWholeWord: false)
    }
    if let whole, case .array(let list)? = whole["added_tokens"] {
      for element in list {
        guard case .integer(let number)? = element["id"] else { continue }
        try add(number, JSONConfiguration(file: whole.file, element))
      }
    }
    if let decoder = config?.object("added_tokens_decoder") {
      for key in decoder.keys {
        guard let number = Int(key), let value = decoder[key] else { continue }
        try add(number, JSONConfiguration(file: decoder.file, value))
      }
    }
    addedTokens = tokens.filter { !$1.text.isEmpty && (0..<10_000_000).contains($0) }
      .sorted { $0.key < $1.key }.map(\.value)
  }

  // MARK: Writing

  /// `vocab.json` and `merges.txt`, as Apple's applications read them, and `added_tokens.json` where there are tokens beside
  /// the vocabulary.
  package var files: [(name: String, contents: Data)] {
    let members = merges.vocabulary.sorted { $0.value < $1.value }
      .map { StrictJSON.Member(key: $0.key, value: .integer($0.value)) }
    let lines = ["#version: 0.2"] + merges.pairs.map { "\($0.left) \($0.right)" }
    let added = addedTokens.filter { $0.numbers.count == 1 && merges.vocabulary[$0.text] == nil }
      .map { StrictJSON.Member(key: $0.text, value: .integer($0.numbers[0])) }
    return [
      ("vocab.json", StrictJSON.object(members).encoded()), ("merges.txt", Data(lines.map { $0 + "\n" }.joined().utf8)),
    ] + (added.isEmpty ? [] : [("added_tokens.json", StrictJSON.object(added).encoded())])
  }
}

extension JSONConfiguration {
  /// A token's spelling: a string, or an object with `content`; nil if absent.
  fileprivate func token(_ key: String) throws(ConfigurationError) -> String? {
    guard has(key) else { return nil }
    if case .string(let content)? = self[key]?["content"] { return content }
    return try string(key)
  }
}
