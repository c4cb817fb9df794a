internal import Foundation
package import StableDiffusion

/// A model's text encoders and tokenizers: one of each, or SDXL's two.
package enum ModelText {
  private static let encoderFolders = ["text_encoder", "text_encoder_2"]

  /// - Parameter model: the model's folder in diffusers' layout.
  package static func encoders(_ model: String) throws -> [TextEncoder] {
    try folders(model).map { try DiffusersFolder.textEncoder($0.encoder).model }
  }

  /// Each cuts and pads to what its encoder takes.
  package static func tokenizers(_ model: String) throws -> [CLIPTokenizer] {
    try folders(model).map { folders in
      try CLIPTokenizer(
        folder: folders.tokenizer, length: TextEncoderConfiguration(folder: folders.encoder).positions)
    }
  }

  /// Tokens of a prompt.
  package static func tokenCount(_ model: String) throws -> Int { try tokenizers(model).first?.length ?? 0 }

  private static func folders(_ model: String) -> [(encoder: String, tokenizer: String)] {
    let files = FileManager.default
    let pairs = zip(encoderFolders, ["tokenizer", "tokenizer_2"]).map { ("\(model)/\($0)", "\(model)/\($1)") }
    // The first is asked for even if it is missing, so that it is named.
    return pairs.enumerated().filter { $0.offset == 0 || files.fileExists(atPath: $0.element.0) }.map(\.element)
  }
}
