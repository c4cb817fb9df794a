internal import Kernels
package import StableDiffusion
internal import Tensors

/// Prompts to what the UNet is conditioned on: tokens, chunks, weights, one or two text encoders.
package struct PromptEncoder: Sendable {
  /// What becomes of words that do not fit into one prompt.
  package enum Overflow: String, Sendable, CaseIterable {
    /// They are left out, as in diffusers.
    case cut
    /// They make further prompts, whose states are put side by side.
    case chunks
  }

  /// A prompt in tokens: chunks of one length, each with the weights of its tokens.
  private struct Chunk {
    let tokens: [Int]
    let weights: [Double]
  }

  private let tokenizers: [CLIPTokenizer]
  private let encoders: [TextEncoding]
  private let overflow: Overflow
  /// Whether the UNet takes the pooled text too.
  private let pools: Bool

  /// Loads the text encoders.
  ///
  /// - Parameter lastOnly: leave out SDXL's first one, as its refiner does.
  package init(
    _ models: ModelSet, dialect: CLIPTokenizer.Dialect = .clip, overflow: Overflow = .cut,
    lastOnly: Bool = false
  ) throws {
    pools = models.poolsText
    let layer: TextEncoding.Layer = pools ? .penultimate : .last
    let first = lastOnly ? models.textEncoders.count - 1 : 0
    let encoders = try models.textEncoders[first...].map { try TextEncoding($0, layer: layer) }
    self.encoders = encoders
    tokenizers = try zip(models.tokenizers.indices[first...], encoders).map { index, encoder in
      var files = models.tokenizers[index]
      // Apple's pipeline fills up with the end token, but SDXL's second prompt with `!`, whatever the model says.
      if dialect == .apple { files = files.padded(with: index == 0 ? "<|endoftext|>" : CLIPTokenizer.openCLIPPadding) }
      return try CLIPTokenizer(files, length: encoder.tokens, dialect: dialect)
    }
    self.overflow = overflow
  }

  /// Tokens of a prompt as the first text encoder takes them.
  package func tokens(_ text: String) -> [Int] { tokenizers[0](text) }

  /// How many words' tokens do not fit, of any of the text encoders.
  package func excess(_ prompt: WeightedPrompt) -> Int {
    tokenizers.map { tokenizer in
      prompt.parts.reduce(0) { $0 + tokenizer.words($1.text).count } - (tokenizer.length - 2)
    }.max().map { max(0, $0) } ?? 0
  }

  /// The states of several prompts, all of the length of the longest.
  package func callAsFunction(_ prompts: [WeightedPrompt]) throws -> Conditioning {
    var chunks = prompts.map { prompt in tokenizers.map { self.chunks(prompt, $0) } }
    let most = chunks.joined().map(\.count).max() ?? 1
    let empty = tokenizers.map { self.chunks(WeightedPrompt(plain: ""), $0)[0] }
    for prompt in chunks.indices {
      for encoder in encoders.indices {
        let missing = most - chunks[prompt][encoder].count
        chunks[prompt][encoder] += [Chunk](repeating: empty[encoder], count: missing)
      }
    }
    return .stacked(try chunks.map { try encoded($0) })
  }

  private func chunks(_ prompt: WeightedPrompt, _ tokenizer: CLIPTokenizer) -> [Chunk] {
    let words = prompt.parts.flatMap { part in
      tokenizer.words(part.text).map { (token: $0, weight: part.weight) }
    }
    let room = tokenizer.length - 2
    let count = overflow == .cut ? 1 : max(1, (words.count + room - 1) / room)
    return (0..<count).map { index in
      // The tokenizer itself decides what an overlong single prompt looks like.
      let end = count == 1 ? words.count : min(words.count, (index + 1) * room)
      let part = Array(words[min(index * room, words.count)..<end])
      let weights = [1] + part.prefix(tokenizer.length - 1).map(\.weight)
      return Chunk(
        tokens: tokenizer.framed(part.map(\.token)),
        weights: weights + [Double](repeating: 1, count: tokenizer.length - weights.count))
    }
  }

  /// One prompt through all text encoders: features side by side, chunks one behind the other.
  private func encoded(_ prompt: [[Chunk]]) throws -> Conditioning {
    var rows: [Tensor] = []
    var pooled: Tensor?
    for index in prompt[0].indices {
      let parts = try zip(encoders, prompt).map { encoder, chunks in
        let output = try encoder(chunks[index].tokens)
        if index == 0 { pooled = output.pooled }
        return Self.weighted(output.states, chunks[index].weights)
      }
      let widths = Set(parts.map { $0.shape[1] })
      guard widths.count == 1 else {
        throw GenerationError.mismatch(
          what: "text encoders", expected: "prompts of one length", found: "\(widths.sorted()) tokens")
      }
      rows.append(Execution.withoutGradients { parts.count == 1 ? parts[0] : Concatenate().apply(parts) })
    }
    let features = rows[0].shape[2]
    let tokens = rows.reduce(0) { $0 + $1.shape[1] }
    return Conditioning(
      states: Tensor([1, tokens, features], rows.flatMap(\.elements)),
      pooled: pools ? pooled : nil)
  }

  /// States multiplied by their tokens' weights, then scaled so that their mean stays.
  private static func weighted(_ states: Tensor, _ weights: [Double]) -> Tensor {
    guard weights.contains(where: { $0 != 1 }) else { return states }
    let features = states.shape[2]
    let elements = states.elements
    let scaled = elements.indices.map { Double(elements[$0]) * weights[$0 / features] }
    let (before, after) = (elements.reduce(0) { $0 + Double($1) }, scaled.reduce(0, +))
    let ratio = after == 0 ? 1 : before / after
    return Tensor(states.shape, scaled.map { Float($0 * ratio) })
  }
}
