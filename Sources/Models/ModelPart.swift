/// A part of a Stable Diffusion model, by the name of its folder in diffusers' layout.
package enum ModelPart: String, Sendable, CaseIterable {
  case unet
  case textEncoder = "text_encoder"
  /// SDXL's second text encoder, and its refiner's only one.
  case textEncoder2 = "text_encoder_2"
  case vae
  case safetyChecker = "safety_checker"

  package static let textEncoders = [ModelPart.textEncoder, .textEncoder2]

  /// The folder of a text encoder's tokenizer.
  package var tokenizerFolder: String? {
    switch self {
    case .textEncoder: "tokenizer"
    case .textEncoder2: "tokenizer_2"
    default: nil
    }
  }
}

/// What kind of Stable Diffusion model it is, as far as its users have to know.
package enum ModelFamily: String, Sendable {
  /// SD 1.x and 2.x: one text encoder, whose last states the UNet sees.
  case base = "SD"
  /// SDXL: two text encoders, pooled text, picture sizes.
  case xl = "SDXL"
  /// SDXL's refiner: the second text encoder alone, an aesthetic score.
  case refiner = "SDXL refiner"
}

/// What is put on top of a model's files.
package struct ModelAdditions: Sendable, Equatable {
  /// An adapter and how strongly it counts.
  package struct Adapter: Sendable, Equatable {
    package let path: String
    package let strength: Double

    package init(path: String, strength: Double = 1) {
      (self.path, self.strength) = (path, strength)
    }

    /// - Parameter text: `FILE` or `FILE:STRENGTH`; what follows the last colon is a strength if it is a number.
    package init(_ text: String) {
      if let colon = text.lastIndex(of: ":"), let strength = Double(text[text.index(after: colon)...]) {
        self.init(path: String(text[..<colon]), strength: strength)
      } else {
        self.init(path: text)
      }
    }
  }

  /// LoRA and its kin, merged in this order.
  package var adapters: [Adapter] = []
  /// Files of textual inversion.
  package var embeddings: [String] = []
  /// Another VAE, a folder or a single file.
  package var vae: String?
  /// A folder of configurations in diffusers' layout, for single files that do not tell theirs.
  package var configuration: String?
  /// What the UNet predicts, instead of what its files say: `epsilon` or `v_prediction`.
  package var prediction: String?
  /// The guidance that a distilled UNet (LCM) is told, which then is part of its weights.
  package var guidance: Double?

  package init() {}

  /// Whether all weights are the model's own.
  package var leavesWeights: Bool { adapters.isEmpty && embeddings.isEmpty && vae == nil && configuration == nil }

  /// The options that say the same to `sdtune generate`.
  package var arguments: [String] {
    adapters.flatMap { ["--lora", "\($0.path):\($0.strength)"] } + embeddings.flatMap { ["--embedding", $0] }
      + [("--vae", vae), ("--model-config", configuration), ("--prediction-type", prediction)].flatMap { name, value in
        value.map { [name, $0] } ?? []
      }
  }
}
