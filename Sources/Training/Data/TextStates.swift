internal import Layers
package import StableDiffusion
internal import Tensors

/// What text encoders make of the captions that a run uses: of all of them, computed once, or of each batch's where all
/// would take much memory.
package struct TextStates: Sendable {
  /// A row a prompt, the empty prompt last; nil if there are too many.
  private let kept: Conditioning?
  private let encoders: [TextEncoder]
  private let captions: Captions
  /// SDXL's UNets attend to the states before the last layer of each encoder and are told the last one's pooled text;
  /// others attend to the last, normalized states.
  private let isPenultimate: Bool

  /// Bytes of states that are kept: some thousand prompts of Stable Diffusion 1.5, which encodes one in a hundredth of
  /// a training step's time.
  package static let mostKept = 1 << 28

  /// What states that are kept take, in bytes; nil if there are too many.
  package static func bytes(prompts: Int, tokens: Int, features: Int, mostKept: Int = mostKept) -> Int? {
    let bytes = 4 * Double(prompts) * Double(tokens) * Double(features)
    return bytes <= Double(mostKept) ? Int(bytes) : nil
  }

  /// - Parameter encoders: one, or SDXL's two.
  package init(
    _ encoders: [TextEncoder], _ captions: Captions, for unet: UNetConfiguration, mostKept: Int = mostKept
  ) {
    self.encoders = encoders
    self.captions = captions
    isPenultimate = unet.textTime != nil
    let bytes = Self.bytes(
      prompts: captions.count + 1, tokens: captions.tokenCount, features: unet.contextFeatures[0],
      mostKept: mostKept)
    let all = (0..<captions.count).map { Captions.Prompt.caption($0) } + [.empty]
    kept = bytes == nil ? nil : Self.states(encoders, captions.tokens(all), isPenultimate: isPenultimate)
  }

  /// - Parameter prompts: for each encoder its token numbers.
  private static func states(
    _ encoders: [TextEncoder], _ prompts: [[[Int]]], isPenultimate: Bool
  ) -> Conditioning {
    let parts = zip(encoders, prompts).map { encoder, prompts in
      Execution.withoutGradients {
        Conditioning.stacked(
          stride(from: 0, to: prompts.count, by: 64).map { start in
            let output = encoder(Array(prompts[start..<min(prompts.count, start + 64)]))
            let states = output.hiddenStates
            return Conditioning(
              states: isPenultimate ? states[states.count - 2] : output.lastHiddenState,
              pooled: output.embeddings ?? output.pooled)
          })
      }
    }
    let states = parts.map(\.states)
    return Conditioning(
      states: states.count == 1 ? states[0] : Execution.withoutGradients { Concatenate()(states[0], states[1]) },
      pooled: isPenultimate ? parts[parts.count - 1].pooled : nil)
  }

  package subscript(prompts: [Captions.Prompt]) -> Conditioning {
    if let kept {
      let rows = prompts.compactMap { prompt -> Int? in
        switch prompt {
        case .empty: captions.count
        case .caption(let number): number
        case .tokens: nil
        }
      }
      if rows.count == prompts.count { return kept.rows(rows) }
    }
    return Self.states(encoders, captions.tokens(prompts), isPenultimate: isPenultimate)
  }
}
