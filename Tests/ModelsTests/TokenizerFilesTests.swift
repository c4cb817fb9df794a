import Foundation
import StableDiffusion
import TestSupport
import Testing

/// Every home that a tokenizer's values have.
@Suite struct TokenizerFilesTests {
  private func tokenizer(_ files: [String: String]) throws -> CLIPTokenizer {
    let scratch = try ScratchFolder()
    let folder = scratch.file("tokenizer")
    try FileManager.default.copyItem(atPath: References.path("models/sd1-tiny/tokenizer"), toPath: folder)
    for name in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json"] {
      try? FileManager.default.removeItem(atPath: "\(folder)/\(name)")
    }
    for (name, text) in files { try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)")) }
    return try CLIPTokenizer(folder: folder)
  }

  /// Stable Diffusion 2's folders say it in the map alone; the config wins where it lists all added tokens.
  @Test func padding() throws {
    let map = #"{"pad_token": "!"}"#
    let zero = try #require(tokenizer([:]).merges.vocabulary["!"])
    #expect(try tokenizer(["special_tokens_map.json": map]).padding == zero)
    #expect(try tokenizer(["special_tokens_map.json": #"{"pad_token": {"content": "!"}}"#]).padding == zero)
    let config = #"{"pad_token": "<|endoftext|>"}"#
    #expect(try tokenizer(["special_tokens_map.json": map, "tokenizer_config.json": config]).padding == zero)
    let newer = #"{"pad_token": "<|endoftext|>", "added_tokens_decoder": {}}"#
    let both = try tokenizer(["special_tokens_map.json": map, "tokenizer_config.json": newer])
    #expect(both.padding == both.endOfText)
    #expect(try tokenizer([:]).padding == both.endOfText)
  }

  /// Where a prompt is filled up and cut, in either file that says it; the configuration's word counts.
  @Test func sides() throws {
    let left = #"{"padding": {"direction": "Left", "pad_token": "!"}}"#
    let right = #"{"padding": {"direction": "Right", "pad_token": "!"}, "truncation": {"direction": "Right"}}"#
    #expect(throws: ConfigurationError.self) { try tokenizer(["tokenizer.json": left]) }
    let zero = try #require(tokenizer([:]).merges.vocabulary["!"])
    #expect(try tokenizer(["tokenizer.json": right]).padding == zero)
    let config = #"{"padding_side": "right"}"#
    #expect(try tokenizer(["tokenizer.json": left, "tokenizer_config.json": config]).padding == zero)
    for refused in [
      #"{"padding_side": "left"}"#, #"{"truncation_side": "left"}"#, #"{"split_special_tokens": true}"#,
      #"{"do_lowercase": true}"#,
    ] {
      #expect(throws: ConfigurationError.self, "\(refused)") { try tokenizer(["tokenizer_config.json": refused]) }
    }
  }

  @Test func longestPrompt() throws {
    #expect(try tokenizer(["tokenizer_config.json": #"{"model_max_length": 20}"#]).length == 20)
    #expect(try tokenizer(["tokenizer_config.json": #"{"model_max_length": 1e30}"#]).length == 77)
  }

  /// What is written for other programs, such as a bundle's, knows the added tokens.
  @Test func addedTokensAreWritten() throws {
    let tokens = #"{"<cat-toy>": 5000}"#
    let scratch = try ScratchFolder()
    let folder = scratch.file("tokenizer")
    try FileManager.default.copyItem(atPath: References.path("models/sd1-tiny/tokenizer"), toPath: folder)
    try Data(tokens.utf8).write(to: URL(filePath: folder + "/added_tokens.json"))
    let files = try TokenizerFiles(folder: folder).files
    let other = scratch.file("other")
    try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: false)
    for file in files { try file.contents.write(to: URL(filePath: "\(other)/\(file.name)")) }
    #expect(try CLIPTokenizer(folder: other).words("a <cat-toy>").last == 5000)
    #expect(throws: ConfigurationError.self) { try tokenizer(["added_tokens.json": #"{"<cat-toy>": "5000"}"#]) }
  }

  /// A token that textual inversion saved into a model is one number.
  @Test func addedTokens() throws {
    let homes = [
      "added_tokens.json": #"{"<cat-toy>": 5000}"#,
      "tokenizer_config.json": #"{"added_tokens_decoder": {"5000": {"content": "<cat-toy>", "special": false}}}"#,
    ]
    for (name, text) in homes {
      let tokenizer = try tokenizer([name: text])
      let plain = tokenizer.words("a photo of a")
      #expect(tokenizer.words("a photo of a <cat-toy>") == plain + [5000], "\(name)")
      #expect(tokenizer.words("a photo of a <CAT-TOY>") == plain + [5000], "\(name)")
    }
    let word = #"{"added_tokens_decoder": {"5000": {"content": "toy", "single_word": true}}}"#
    let tokenizer = try tokenizer(["tokenizer_config.json": word])
    #expect(tokenizer.words("toy") == [5000])
    #expect(!tokenizer.words("toys").contains(5000))
  }

  /// CLIP's own vocabulary, which comes with the program: known numbers of known words.
  @Test func builtInVocabulary() throws {
    let tokenizer = try CLIPTokenizer(.clip())
    #expect(tokenizer.merges.vocabulary.count == 49408)
    #expect(tokenizer.words("a photo of a cat") == [320, 1125, 539, 320, 2368])
    #expect((tokenizer.startOfText, tokenizer.endOfText, tokenizer.padding) == (49406, 49407, 49407))
    #expect(try CLIPTokenizer(.clip(padding: CLIPTokenizer.openCLIPPadding)).padding == 0)
  }
}
