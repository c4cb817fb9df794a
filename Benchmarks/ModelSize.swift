internal import ArgumentParser

/// The shapes of the models that benchmarks use; weights are random.
enum ModelSize: String, ExpressibleByArgument, CaseIterable {
  /// Stable Diffusion 1.5: 860 million weights in the UNet.
  case sd15
  /// The same with half its channels: 215 million.
  case half
  /// A quarter of them: 55 million.
  case quarter
  /// Stable Diffusion XL: 2.6 billion.
  case sdxl

  /// `config.json` of the UNet, as diffusers writes it.
  var unet: [String: Any] {
    let channels: [Int]
    let context: Int
    switch self {
    case .sd15: (channels, context) = ([320, 640, 1280, 1280], 768)
    case .half: (channels, context) = ([160, 320, 640, 640], 384)
    case .quarter: (channels, context) = ([96, 160, 320, 320], 192)
    case .sdxl: return Self.extraLarge
    }
    return [
      "_class_name": "UNet2DConditionModel", "sample_size": 64, "in_channels": 4, "out_channels": 4,
      "layers_per_block": 2, "block_out_channels": channels, "cross_attention_dim": context,
      "attention_head_dim": 8, "norm_num_groups": 32, "act_fn": "silu",
      "down_block_types": [
        "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D",
      ],
      "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    ]
  }

  private static var extraLarge: [String: Any] {
    [
      "_class_name": "UNet2DConditionModel", "sample_size": 128, "in_channels": 4, "out_channels": 4,
      "layers_per_block": 2, "block_out_channels": [320, 640, 1280], "cross_attention_dim": 2048,
      "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10],
      "use_linear_projection": true, "norm_num_groups": 32, "act_fn": "silu",
      "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
      "projection_class_embeddings_input_dim": 2816,
      "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
      "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    ]
  }

  /// A text encoder's shapes.
  struct Encoder {
    let folder: String
    let features: Int
    let isProjected: Bool
  }

  var textEncoders: [Encoder] {
    guard self == .sdxl else {
      return [Encoder(folder: "text_encoder", features: contextFeatures, isProjected: false)]
    }
    return [
      Encoder(folder: "text_encoder", features: 768, isProjected: false),
      Encoder(folder: "text_encoder_2", features: 1280, isProjected: true),
    ]
  }

  /// Features of the text states.
  var contextFeatures: Int { unet["cross_attention_dim"] as? Int ?? 0 }
  /// Height and width of the latents.
  var latentSide: Int { unet["sample_size"] as? Int ?? 64 }
}
