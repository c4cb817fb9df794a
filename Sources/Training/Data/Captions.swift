internal import Kernels
package import Recipes
package import StableDiffusion
internal import Tensors

/// The texts that samples may be described by, as token numbers for each text encoder.
package struct Captions: Sendable {
  /// What a network is told of one sample.
  package enum Prompt: Sendable, Equatable {
    case empty
    /// By its number.
    case caption(Int)
    /// A text made for this use, tokens for each text encoder.
    case tokens([[Int]])
  }

  /// Token numbers as one text encoder takes them, in 32 bits: a hundred thousand captions take 31 MB.
  private struct Text: Sendable {
    /// `[captions, tokens]`
    let numbers: [Int32]
    /// Of the empty prompt.
    let empty: [Int]

    func tokens(_ caption: Int) -> [Int] {
      numbers[caption * empty.count..<(caption + 1) * empty.count].map { Int($0) }
    }
  }

  package let count: Int
  /// One for each text encoder that there are tokens for: SDXL's models have two.
  private let texts: [Text]
  /// Where texts are made anew for every use.
  private let drawing: Drawing?

  private struct Drawing: Sendable {
    let recipe: CaptionRecipe
    let captions: [String]
    let tokenizers: [CLIPTokenizer]
  }

  /// Captions of a file, token by token.
  ///
  /// - Parameter texts: for each encoder the numbers of all captions, `[captions, tokens]`, and of the empty prompt.
  package init(_ texts: [(numbers: [Int], empty: [Int])]) {
    self.texts = texts.map { Text(numbers: $0.numbers.map { Int32(clamping: $0) }, empty: $0.empty) }
    count = self.texts.first.map { $0.numbers.count / max(1, $0.empty.count) } ?? 0
    drawing = nil
  }

  /// Captions of pictures.
  ///
  /// - Parameters:
  ///   - captions: framed (``CaptionRecipe/framed(_:)``).
  ///   - tokens: of them, `[captions, tokens]` for each encoder, where they are known.
  package init(_ captions: [String], _ recipe: CaptionRecipe, _ tokenizers: [CLIPTokenizer], tokens: [[Int]]? = nil) {
    texts = tokenizers.enumerated().map { index, tokenizer in
      let numbers = tokens.map { $0[index] } ?? Captions.tokens(captions, tokenizer)
      return Text(numbers: numbers.map { Int32(clamping: $0) }, empty: tokenizer(""))
    }
    count = captions.count
    drawing = recipe.changesTags ? Drawing(recipe: recipe, captions: captions, tokenizers: tokenizers) : nil
  }

  /// The first captions alone.
  func prefix(_ count: Int) -> Captions { Captions(self, count: min(count, self.count)) }

  private init(_ captions: Captions, count: Int) {
    texts = captions.texts.map { Text(numbers: Array($0.numbers.prefix(count * $0.empty.count)), empty: $0.empty) }
    self.count = count
    drawing = captions.drawing
  }

  /// Text encoders that there are tokens for.
  package var encoders: Int { texts.count }
  /// Of a prompt, for the first text encoder.
  package var tokenCount: Int { texts[0].empty.count }

  /// The prompt of a caption that is drawn: made anew where tags change.
  func prompt(_ caption: Int, _ random: inout CounterGenerator) -> Prompt {
    guard let drawing else { return .caption(caption) }
    let text = drawing.recipe.drawn(drawing.captions[caption], &random)
    return .tokens(drawing.tokenizers.map { $0(text) })
  }

  /// Token numbers of prompts, for each text encoder.
  package func tokens(_ prompts: [Prompt]) -> [[[Int]]] {
    texts.enumerated().map { index, text in
      prompts.map { prompt in
        switch prompt {
        case .empty: text.empty
        case .caption(let caption): text.tokens(caption)
        case .tokens(let tokens): tokens[index]
        }
      }
    }
  }

  /// The smallest and the largest number that one encoder would see.
  func range(_ encoder: Int) -> ClosedRange<Int> {
    let text = texts[encoder]
    let numbers = text.numbers.reduce(into: (least: Int32.max, most: Int32.min)) { range, number in
      range = (Swift.min(range.least, number), Swift.max(range.most, number))
    }
    let all = text.empty + (text.numbers.isEmpty ? [] : [Int(numbers.least), Int(numbers.most)])
    return (all.min() ?? 0)...(all.max() ?? 0)
  }

  /// Tokens of the empty prompt for one encoder.
  func tokenCount(_ encoder: Int) -> Int { texts[encoder].empty.count }

  /// All captions one behind the other, encoded on all cores.
  static func tokens(_ captions: [String], _ tokenizer: CLIPTokenizer) -> [Int] {
    let parts = (0..<captions.count).cut(length: 64)
    let tokens = Parallel.map(parts.count) { index in parts[index].flatMap { tokenizer(captions[$0]) } }
    return tokens.flatMap { $0 }
  }
}
