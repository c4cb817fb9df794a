internal import Layers
package import StableDiffusion
internal import Tensors

/// What text encoders make of every caption that a run uses, computed once.
package struct TextStates: Sendable {
  /// A row a prompt; the empty prompt is the last.
  private let rows: Conditioning

  /// - Parameters:
  ///   - encoders: one, or SDXL's two.
  ///   - unet: SDXL's attends to the states before the last layer of each encoder and is told the last one's pooled
  ///     text; others attend to the last, normalized states.
  package init(_ encoders: [TextEncoder], _ dataset: LatentDataset, for unet: UNetConfiguration) {
    let parts = zip(encoders, dataset.texts).map { Self.rows($0, $1, unet.textTime != nil) }
    let states = parts.map(\.states)
    rows = Conditioning(
      states: states.count == 1 ? states[0] : Execution.withoutGradients { Concatenate()(states[0], states[1]) },
      pooled: unet.textTime == nil ? nil : parts[parts.count - 1].pooled)
  }

  private static func rows(_ encoder: TextEncoder, _ text: LatentDataset.Text, _ penultimate: Bool) -> Conditioning {
    let prompts = text.captions + [text.empty]
    return Execution.withoutGradients {
      .stacked(
        stride(from: 0, to: prompts.count, by: 64).map { start in
          let output = encoder(Array(prompts[start..<min(prompts.count, start + 64)]))
          let states = output.hiddenStates
          return Conditioning(
            states: penultimate ? states[states.count - 2] : output.lastHiddenState,
            pooled: output.embeddings ?? output.pooled)
        })
    }
  }

  /// Of the given captions, the empty prompt for nil.
  package subscript(numbers: [Int?]) -> Conditioning {
    rows.rows(numbers.map { $0 ?? rows.states.shape[0] - 1 })
  }
}
