package import StableDiffusion
package import Tensors

/// The text encoder's states of every caption that a run uses, computed once.
package struct TextStates: Sendable {
  /// `[prompts, tokens, features]`; the empty prompt is the last row.
  private let states: Tensor

  package init(_ encoder: TextEncoder, _ dataset: LatentDataset) {
    let prompts = dataset.captions + [dataset.emptyCaption]
    let parts = Execution.withoutGradients {
      stride(from: 0, to: prompts.count, by: 64).map { start in
        encoder(Array(prompts[start..<min(prompts.count, start + 64)])).lastHiddenState
      }
    }
    states = Tensor.stacked(parts)
  }

  /// States of the given captions, the empty prompt for nil: `[numbers.count, tokens, features]`.
  package subscript(numbers: [Int?]) -> Tensor {
    states.rows(numbers.map { $0 ?? states.shape[0] - 1 })
  }
}
