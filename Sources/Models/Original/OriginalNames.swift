internal import WeightFiles

/// The names of the original Stable Diffusion code (CompVis, Stability AI's generative-models, OpenCLIP) beside diffusers'
/// and transformers'; diffusers knows the same in `loaders/single_file_utils.py`.
enum OriginalNames {
  /// What a residual block's layers are called.
  private static let residual = [
    ("in_layers.0", "norm1"), ("in_layers.2", "conv1"), ("emb_layers.1", "time_emb_proj"), ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"), ("skip_connection", "conv_shortcut"),
  ]

  /// Of a UNet.
  ///
  /// - Parameters:
  ///   - levels: of channels.
  ///   - layers: residual blocks of a level on the way down.
  ///   - hasAttention: whether the output block of a number has a transformer, behind which an upsampler stands.
  static func unet(levels: Int, layers: Int, hasAttention: (_ outputBlock: Int) -> Bool) -> NameTable {
    var pairs = [
      ("time_embed.0", "time_embedding.linear_1"), ("time_embed.2", "time_embedding.linear_2"),
      ("time_embed.cond_proj", "time_embedding.cond_proj"),
      ("label_emb.0.0", "add_embedding.linear_1"), ("label_emb.0.2", "add_embedding.linear_2"),
      ("input_blocks.0.0", "conv_in"), ("out.0", "conv_norm_out"), ("out.2", "conv_out"),
      ("middle_block.1", "mid_block.attentions.0"),
    ]
    func add(_ original: String, _ diffusers: String) {
      pairs += residual.map { ("\(original).\($0)", "\(diffusers).\($1)") }
    }
    add("middle_block.0", "mid_block.resnets.0")
    add("middle_block.2", "mid_block.resnets.1")
    let perLevel = layers + 1
    for level in 0..<levels {
      for layer in 0..<layers {
        let block = "input_blocks.\(level * perLevel + layer + 1)"
        add("\(block).0", "down_blocks.\(level).resnets.\(layer)")
        pairs.append(("\(block).1", "down_blocks.\(level).attentions.\(layer)"))
      }
      if level < levels - 1 {
        pairs.append(("input_blocks.\((level + 1) * perLevel).0.op", "down_blocks.\(level).downsamplers.0.conv"))
      }
      for layer in 0..<perLevel {
        let number = level * perLevel + layer
        add("output_blocks.\(number).0", "up_blocks.\(level).resnets.\(layer)")
        if hasAttention(number) {
          pairs.append(("output_blocks.\(number).1", "up_blocks.\(level).attentions.\(layer)"))
        }
        if layer == layers, level < levels - 1 {
          let place = hasAttention(number) ? 2 : 1
          pairs.append(("output_blocks.\(number).\(place).conv", "up_blocks.\(level).upsamplers.0.conv"))
        }
      }
    }
    return NameTable(pairs)
  }

  /// Of the UNet whose tensors these are, by the numbers of its blocks.
  static func unet(_ names: Set<String>) -> NameTable {
    // No network has more blocks; a name's number is not to be believed.
    func numbers(_ prefix: String, _ ending: String) -> [Int] {
      (0..<256).filter { names.contains("\(prefix)\($0)\(ending)") }
    }
    let downsamplers = numbers("input_blocks.", ".0.op.weight")
    let blocks = numbers("input_blocks.", ".0.in_layers.2.weight")
    // Residual blocks of a level and the downsampler behind them.
    let perLevel = downsamplers.first ?? (blocks.count + 1)
    return unet(levels: downsamplers.count + 1, layers: max(1, perLevel - 1)) { number in
      names.contains("output_blocks.\(number).1.norm.weight")
        || names.contains("output_blocks.\(number).1.proj_in.weight")
    }
  }

  /// Of a VAE.
  ///
  /// - Parameters:
  ///   - levels: of channels; the decoder's count from its end.
  ///   - layers: residual blocks of a level; one more of the decoder's.
  static func autoencoder(levels: Int, layers: Int) -> NameTable {
    var pairs = ["quant_conv", "post_quant_conv"].map { ($0, $0) }
    func add(_ original: String, _ diffusers: String) {
      pairs += ["norm1", "conv1", "norm2", "conv2"].map { ("\(original).\($0)", "\(diffusers).\($0)") }
      pairs.append(("\(original).nin_shortcut", "\(diffusers).conv_shortcut"))
    }
    for half in ["encoder", "decoder"] {
      pairs += ["conv_in", "conv_out"].map { ("\(half).\($0)", "\(half).\($0)") }
      pairs.append(("\(half).norm_out", "\(half).conv_norm_out"))
      for block in 1...2 { add("\(half).mid.block_\(block)", "\(half).mid_block.resnets.\(block - 1)") }
      let attention = [("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")]
      pairs += attention.map { ("\(half).mid.attn_1.\($0)", "\(half).mid_block.attentions.0.\($1)") }
    }
    for level in 0..<levels {
      let up = levels - 1 - level
      for layer in 0..<layers {
        add("encoder.down.\(level).block.\(layer)", "encoder.down_blocks.\(level).resnets.\(layer)")
      }
      for layer in 0...layers { add("decoder.up.\(level).block.\(layer)", "decoder.up_blocks.\(up).resnets.\(layer)") }
      pairs.append(("encoder.down.\(level).downsample.conv", "encoder.down_blocks.\(level).downsamplers.0.conv"))
      pairs.append(("decoder.up.\(level).upsample.conv", "decoder.up_blocks.\(up).upsamplers.0.conv"))
    }
    return NameTable(pairs)
  }

  static func autoencoder(_ names: Set<String>) -> NameTable {
    func count(_ name: (Int) -> String) -> Int { (0..<64).prefix { names.contains(name($0)) }.count }
    let levels = max(
      count { "encoder.down.\($0).block.0.conv1.weight" }, count { "decoder.up.\($0).block.0.conv1.weight" })
    let layers = max(
      count { "encoder.down.0.block.\($0).conv1.weight" }, count { "decoder.up.0.block.\($0).conv1.weight" } - 1)
    return autoencoder(levels: levels, layers: max(1, layers))
  }

  /// Of OpenCLIP's text encoder, beside the fused projections and the matrix behind them.
  static func openCLIP(layers: Int) -> NameTable {
    var pairs = [
      ("token_embedding", "text_model.embeddings.token_embedding"),
      ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
      ("ln_final", "text_model.final_layer_norm"),
    ]
    for layer in 0..<layers {
      let (original, transformers) = ("transformer.resblocks.\(layer)", "text_model.encoder.layers.\(layer)")
      pairs += [
        ("attn.out_proj", "self_attn.out_proj"), ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"),
        ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2"),
      ].map { ("\(original).\($0)", "\(transformers).\($1)") }
    }
    return NameTable(pairs)
  }
}
