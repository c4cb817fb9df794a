package import Models
package import StableDiffusion

/// A model's text encoders and tokenizers: one of each, or SDXL's two.
package enum ModelText {
  package static func encoders(_ model: ModelSource) throws -> [TextEncoder] {
    try parts(model).map { try model.component($0).textEncoder().model }
  }

  /// Each cuts and pads to what its encoder takes.
  package static func tokenizers(_ model: ModelSource) throws -> [CLIPTokenizer] {
    try parts(model).map { try model.tokenizer(of: $0) }
  }

  /// The first is asked for even if there is none, so that it is named.
  private static func parts(_ model: ModelSource) -> [ModelPart] {
    model.textEncoders.isEmpty ? [.textEncoder] : model.textEncoders
  }
}
