internal import StableDiffusion
internal import StrictJSON
internal import WeightFiles

/// Configurations of networks by the names and extents of their weights, with what no extent tells from the published models
/// of the family.
struct InferredConfiguration {
  /// Which published models a UNet is like.
  enum Kind: Sendable { case sd1, sd2, xl, refiner }

  /// The weights under today's names.
  let weights: any WeightSource
  /// What messages call it.
  let file: String

  init(_ weights: any WeightSource, _ part: ModelPart) {
    self.weights = weights
    file = "\(weights.origin): the inferred \(part.rawValue)/config.json (--model-config gives another)"
  }

  private func count(_ name: (Int) -> String) -> Int { (0..<1000).prefix { weights.contains(name($0)) }.count }

  private func extent(_ name: String, _ axis: Int) throws(ModelError) -> Int {
    guard let shape = weights.shape(of: name), shape.indices.contains(axis) else {
      throw .missing(
        part: "weight '\(weights.spelling(of: name))'", path: weights.origin, hint: "is the file complete?")
    }
    return shape[axis]
  }

  // MARK: UNet

  /// By shape: pooled text is SDXL's, with four levels the refiner's; projections as 1×1 convolutions are SD 1's.
  var kind: Kind {
    let levels = count { "down_blocks.\($0).resnets.0.conv1.weight" }
    if weights.contains("add_embedding.linear_1.weight") { return levels == 4 ? .refiner : .xl }
    let projections = weights.names.filter { $0.hasSuffix(".proj_in.weight") }
    return projections.contains { weights.shape(of: $0)?.count == 2 } ? .sd2 : .sd1
  }

  func unet(prediction: String) throws(ModelError) -> JSONConfiguration {
    let levels = count { "down_blocks.\($0).resnets.0.conv1.weight" }
    guard levels > 0 else {
      throw .missing(part: "UNet levels", path: weights.origin, hint: "expected down_blocks or input_blocks")
    }
    let (down, up) = (attentions("down_blocks", levels), attentions("up_blocks", levels))
    var channels: [Int] = []
    var layers: [Int] = []
    for level in 0..<levels {
      channels.append(try extent("down_blocks.\(level).resnets.0.conv2.weight", 0))
      layers.append(count { "down_blocks.\(level).resnets.\($0).conv1.weight" })
    }
    let kind = kind
    var values: [String: StrictJSON] = [
      "_class_name": .string("UNet2DConditionModel"), "in_channels": .integer(try extent("conv_in.weight", 1)),
      "out_channels": .integer(try extent("conv_out.weight", 0)), "block_out_channels": .integers(channels),
      "layers_per_block": Set(layers).count == 1 ? .integer(layers[0]) : .integers(layers),
      "down_block_types": .strings(down.map { $0.isEmpty ? "DownBlock2D" : "CrossAttnDownBlock2D" }),
      "up_block_types": .strings(up.map { $0.isEmpty ? "UpBlock2D" : "CrossAttnUpBlock2D" }),
      "attention_head_dim": kind == .sd1 ? .integer(8) : .integers(channels.map { max(1, $0 / 64) }),
      "norm_num_groups": .integer(32), "use_linear_projection": .boolean(kind != .sd1),
      "sample_size": .integer(sampleSize(kind, prediction)), "cross_attention_dim": .integer(try context()),
      "mid_block_type": middle,
    ]
    values.merge(transformerLayers(down, up, layers)) { $1 }
    if kind == .xl || kind == .refiner {
      values["addition_embed_type"] = .string("text_time")
      values["addition_time_embed_dim"] = .integer(256)
      values["projection_class_embeddings_input_dim"] = .integer(try extent("add_embedding.linear_1.weight", 1))
    }
    if weights.contains("time_embedding.cond_proj.weight") {
      values["time_cond_proj_dim"] = .integer(try extent("time_embedding.cond_proj.weight", 1))
    }
    return JSONConfiguration(file: file, values: values)
  }

  private func sampleSize(_ kind: Kind, _ prediction: String) -> Int {
    switch kind {
    case .sd1: 64
    case .sd2: prediction == "epsilon" ? 64 : 96
    case .xl, .refiner: 128
    }
  }

  private func context() throws(ModelError) -> Int {
    guard let name = weights.names.first(where: { $0.hasSuffix(".attn2.to_k.weight") }) else {
      throw .missing(part: "cross-attention", path: weights.origin, hint: "expected weights '….attn2.to_k.weight'")
    }
    return try extent(name, 1)
  }

  /// Layers of each transformer of each block; none of blocks without.
  private func attentions(_ blocks: String, _ levels: Int) -> [[Int]] {
    (0..<levels).map { level in
      let present = count { "\(blocks).\(level).attentions.\($0).norm.weight" }
      return (0..<present).map { attention in
        count { "\(blocks).\(level).attentions.\(attention).transformer_blocks.\($0).norm1.weight" }
      }
    }
  }

  private var middle: StrictJSON {
    if weights.contains("mid_block.attentions.0.norm.weight") { return .string("UNetMidBlock2DCrossAttn") }
    return weights.contains("mid_block.resnets.0.conv1.weight") ? .string("UNetMidBlock2D") : .null
  }

  /// One number a level where that says it all, as in the published models; lists otherwise.
  private func transformerLayers(_ down: [[Int]], _ up: [[Int]], _ layers: [Int]) -> [String: StrictJSON] {
    let key = "transformer_layers_per_block"
    let middle = count { "mid_block.attentions.0.transformer_blocks.\($0).norm1.weight" }
    var plain = zip(down, up.reversed()).map { Set($0 + $1) }.map {
      $0.count == 1 ? $0.first ?? 1 : ($0.isEmpty ? 1 : 0)
    }
    // The middle takes its number from the last level, whether that has transformers or not.
    if down.last?.isEmpty ?? true, middle > 0 { plain[plain.count - 1] = middle }
    if !plain.contains(0), middle == 0 || plain.last == middle {
      return Set(plain) == [1] ? [:] : [key: .integers(plain)]
    }
    func lists(_ attentions: [[Int]], _ counts: [Int]) -> StrictJSON {
      .array(zip(attentions, counts).map { .integers($0.isEmpty ? [Int](repeating: 1, count: $1) : $0) })
    }
    var downLists = down
    if middle > 0, let last = downLists.indices.last, downLists[last].isEmpty {
      downLists[last] = [Int](repeating: middle, count: layers[last])
    }
    return [
      key: lists(downLists, layers), "reverse_" + key: lists(up, layers.reversed().map { $0 + 1 }),
    ]
  }

  // MARK: Text encoders

  func textEncoder(isOpenCLIP: Bool, projects: Bool) throws(ModelError) -> JSONConfiguration {
    let embeddings = "text_model.embeddings."
    let width = try extent(embeddings + "token_embedding.weight", 1)
    let layer = "text_model.encoder.layers."
    var values: [String: StrictJSON] = [
      "architectures": .strings([projects ? "CLIPTextModelWithProjection" : "CLIPTextModel"]),
      "vocab_size": .integer(try extent(embeddings + "token_embedding.weight", 0)), "hidden_size": .integer(width),
      "max_position_embeddings": .integer(try extent(embeddings + "position_embedding.weight", 0)),
      "intermediate_size": .integer(try extent(layer + "0.mlp.fc1.weight", 0)),
      "num_hidden_layers": .integer(count { "\(layer)\($0).layer_norm1.weight" }),
      "num_attention_heads": .integer(max(1, width / 64)),
      "hidden_act": .string(isOpenCLIP ? "gelu" : "quick_gelu"), "eos_token_id": .integer(2),
      "model_type": .string("clip_text_model"),
    ]
    if projects { values["projection_dim"] = .integer(try extent("text_projection.weight", 0)) }
    return JSONConfiguration(file: file, values: values)
  }

  // MARK: VAE

  /// - Parameter kind: of the UNet beside it; nil of a VAE alone.
  func autoencoder(_ kind: Kind?) throws(ModelError) -> JSONConfiguration {
    let isEncoder = weights.contains("encoder.conv_in.weight")
    let levels =
      isEncoder
      ? count { "encoder.down_blocks.\($0).resnets.0.conv1.weight" }
      : count { "decoder.up_blocks.\($0).resnets.0.conv1.weight" }
    var channels: [Int] = []
    for level in 0..<levels {
      let block = isEncoder ? "encoder.down_blocks.\(level)" : "decoder.up_blocks.\(levels - 1 - level)"
      channels.append(try extent("\(block).resnets.0.conv1.weight", 0))
    }
    let isLarge = kind == .xl || kind == .refiner
    return JSONConfiguration(
      file: file,
      values: [
        "_class_name": .string("AutoencoderKL"), "block_out_channels": .integers(channels),
        "layers_per_block": .integer(
          isEncoder
            ? count { "encoder.down_blocks.0.resnets.\($0).conv1.weight" }
            : count { "decoder.up_blocks.0.resnets.\($0).conv1.weight" } - 1),
        "latent_channels": .integer(try extent("decoder.conv_in.weight", 1)),
        "in_channels": .integer(isEncoder ? try extent("encoder.conv_in.weight", 1) : 3),
        "out_channels": .integer(try extent("decoder.conv_out.weight", 0)),
        "scaling_factor": .number(isLarge ? 0.13025 : 0.18215), "norm_num_groups": .integer(32),
        "down_block_types": .strings(channels.map { _ in "DownEncoderBlock2D" }),
        "up_block_types": .strings(channels.map { _ in "UpDecoderBlock2D" }),
        "sample_size": .integer(isLarge ? 1024 : kind == .sd2 ? 768 : 512),
        "force_upcast": .boolean(true),
      ])
  }
}

extension StrictJSON {
  static func integers(_ numbers: [Int]) -> StrictJSON { .array(numbers.map { .integer($0) }) }
  static func strings(_ texts: [String]) -> StrictJSON { .array(texts.map { .string($0) }) }
}
