import Foundation
import StableDiffusion
import TestSupport
import Testing

/// Prompts against transformers. Token numbers agree or they do not, so there are no bounds.
@Suite struct TokenizerTests {
  struct Prompt: Decodable {
    let text: String
    let ids_full: [Int]
    let ids_77_pad_eos: [Int]
    let ids_77_pad_0: [Int]
    let ids_77_sd2_transformers: [Int]?
    let all_agree: Bool
    let ids_full_majority: [Int]?
    let ids_77_majority_pad_eos: [Int]?
  }

  private struct File: Decodable {
    let prompts: [Prompt]
  }

  private static let folder = References.path("tokenizer-clip")

  private func prompts() throws -> [Prompt] {
    let file = URL(filePath: Self.folder + "/prompts.json")
    return try JSONDecoder().decode(File.self, from: Data(contentsOf: file)).prompts
  }

  @Test(.enabled(if: References.exists("tokenizer-clip/vocab.json")))
  func promptsMatchTransformers() throws {
    let tokenizer = try CLIPTokenizer(folder: Self.folder)
    var wrong = 0
    let prompts = try prompts()
    for prompt in prompts {
      let found = tokenizer(prompt.text)
      let expected = prompt.ids_77_majority_pad_eos ?? prompt.ids_77_pad_eos
      let whole = [tokenizer.startOfText] + tokenizer.words(prompt.text) + [tokenizer.endOfText]
      if found != expected || whole != prompt.ids_full_majority ?? prompt.ids_full {
        wrong += 1
        Issue.record("\(prompt.text): \(found.prefix(20)), expected \(expected.prefix(20))")
      }
    }
    _ = ParityCase("tokenizer/\(prompts.count) prompts", error: Double(wrong), bound: 0)
  }

  /// Stable Diffusion 2's tokenizer pads with "!", which is then a special token inside prompts too.
  @Test(.enabled(if: References.exists("tokenizer-clip/sd2-pad/tokenizer_config.json")))
  func paddingOfStableDiffusion2() throws {
    let scratch = try ScratchFolder()
    for (from, to) in [
      ("vocab.json", "vocab.json"), ("merges.txt", "merges.txt"),
      ("sd2-pad/tokenizer_config.json", "tokenizer_config.json"),
    ] {
      try FileManager.default.copyItem(
        atPath: "\(Self.folder)/\(from)", toPath: scratch.file(to))
    }
    let tokenizer = try CLIPTokenizer(folder: scratch.path)
    #expect(tokenizer.padding == 0)
    for prompt in try prompts() where prompt.all_agree {
      let expected = prompt.ids_77_sd2_transformers ?? prompt.ids_77_pad_0
      #expect(tokenizer(prompt.text) == expected, "\(prompt.text)")
    }
  }

  /// Examples of what the tokenizer of Apple's ml-stable-diffusion makes of prompts.
  @Test(.enabled(if: References.exists("tokenizer-clip/vocab.json")))
  func appleDialect() throws {
    let tokenizer = try CLIPTokenizer(folder: Self.folder, dialect: .apple)
    for (text, numbers) in [
      ("a cat, a dog", [320, 1481, 267, 320, 1929]), ("très", [635, 164, 338]),
      ("日本", [49407, 49407]), ("2023", [17, 15, 17, 274]), ("a red cat", [320, 736, 2368]),
    ] {
      #expect(tokenizer.words(text) == numbers, "\(text)")
    }
    let long = tokenizer(String(repeating: "cat ", count: 100))
    #expect(long.count == 77 && long.last == 2368)
  }

  /// The bundled model's short vocabulary: start and end are its last tokens, prompts have 24.
  @Test func shortVocabulary() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "checkpoints/emoji-sd/tokenizer").path
    let tokenizer = try CLIPTokenizer(folder: folder)
    let tokens = tokenizer("red heart")
    #expect(tokens.count == 24)
    #expect(tokens.first == 2046 && tokens.last == 2047)
    #expect(tokenizer.words("") == [])
    #expect(throws: ConfigurationError.self) { try CLIPTokenizer(folder: folder + "/none") }
  }
}
