internal import StrictJSON

extension UNetConfiguration {
  /// - Throws: naming the key that is missing, unknown, or has a value the engine does not know.
  package init(folder: String) throws(ConfigurationError) {
    try self.init(JSONConfiguration(file: folder + "/config.json"))
  }

  /// - Parameter json: of a `UNet2DConditionModel`.
  package init(_ json: JSONConfiguration) throws(ConfigurationError) { try self.init(json, isControlNet: false) }

  /// - Parameter json: of a `ControlNetModel`, which has a UNet's way down alone.
  package init(controlNet json: JSONConfiguration) throws(ConfigurationError) {
    try self.init(json, isControlNet: true)
  }

  private init(_ json: JSONConfiguration, isControlNet: Bool) throws(ConfigurationError) {
    try json.require("_class_name", isControlNet ? "ControlNetModel" : "UNet2DConditionModel")
    let channels = try json.integers("block_out_channels")
    let levels = channels.count
    inputChannels = try json.integer("in_channels")
    outputChannels = try isControlNet ? inputChannels : json.integer("out_channels")
    blockChannels = channels
    downBlocks = try Self.blocks("down_block_types", json, levels)
    upBlocks = try isControlNet ? [] : Self.blocks("up_block_types", json, levels)
    layersPerBlock = try json.integers("layers_per_block", repeated: levels)
    guard levels <= 16, layersPerBlock.allSatisfy({ $0 <= 100 }) else {
      throw .unsupported(
        json.file, key: "layers_per_block", value: "up to \(layersPerBlock.max() ?? 0) on \(levels) levels",
        expected: "at most 100 on at most 16")
    }
    let headKey = json.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim"
    heads = try json.integers(headKey, repeated: levels)
    (downTransformerLayers, upTransformerLayers) = try Self.transformerLayers(
      json, layersPerBlock, hasAttention: downBlocks.map(\.hasAttention))
    middle = try Self.middle(json, downTransformerLayers)
    seesTextAlone = try json.booleans("only_cross_attention", count: levels)
    contextFeatures = try json.integers("cross_attention_dim", repeated: levels)
    guard Set(contextFeatures).count == 1 else {
      throw .unsupported(
        json.file, key: "cross_attention_dim", value: "\(contextFeatures)", expected: "one width of text for all levels"
      )
    }
    groups = try json.integer("norm_num_groups", default: 32)
    normEpsilon = try Float(json.number("norm_eps", default: 1e-5))
    usesLinearProjection = try json.boolean("use_linear_projection", default: false)
    flipsSinToCos = try json.boolean("flip_sin_to_cos", default: true)
    frequencyShift = try Float(json.number("freq_shift", default: 0))
    (sampleHeight, sampleWidth) = try Self.sampleSize(json)
    textTime = try Self.textTime(json)
    for (key, features) in [
      ("block_out_channels", channels[0]), ("addition_time_embed_dim", textTime?.timeFeatures ?? 0),
    ]
    where features % 2 != 0 {
      throw .unsupported(
        json.file, key: key, value: "\(features)", expected: "an even number: half are sines, half cosines")
    }
    try Self.refuseUnknown(json, isControlNet: isControlNet, timeFeatures: channels[0] * 4)
    for (channels, heads) in zip(channels, heads) {
      guard channels > 0, heads > 0, channels % heads == 0, channels % groups == 0 else {
        throw .unsupported(
          json.file, key: headKey, value: "\(heads)",
          expected: "heads that divide \(channels) channels, which \(groups) groups divide")
      }
    }
  }

  private static func blocks(
    _ key: String, _ json: JSONConfiguration, _ levels: Int
  ) throws(ConfigurationError) -> [BlockKind] {
    let isDown = key == "down_block_types"
    var kinds: [BlockKind] = []
    for name in try json.strings(key) {
      guard let kind = BlockKind(rawValue: name),
        isDown == (kind == .down || kind == .crossAttentionDown)
      else {
        throw .unsupported(
          json.file, key: key, value: name,
          expected: isDown ? "CrossAttnDownBlock2D or DownBlock2D" : "CrossAttnUpBlock2D or UpBlock2D")
      }
      kinds.append(kind)
    }
    guard kinds.count == levels else {
      throw .unsupported(
        json.file, key: key, value: "\(kinds.count) blocks",
        expected: "\(levels), one for each of block_out_channels")
    }
    return kinds
  }

  /// Of each attention, by level. The way up has one more a level; where the file does not list it, it has what its level
  /// has on the way down.
  private static func transformerLayers(
    _ json: JSONConfiguration, _ layersPerBlock: [Int], hasAttention: [Bool]
  ) throws(ConfigurationError) -> (down: [[Int]], up: [[Int]]) {
    let key = "transformer_layers_per_block"
    let down = try json.layers(key, counts: layersPerBlock, needed: hasAttention, default: 1)
    let upCounts = layersPerBlock.map { $0 + 1 }
    let upNeeds = Array(hasAttention.reversed())
    if json.has("reverse_" + key) {
      let up = try json.layers("reverse_" + key, counts: upCounts.reversed(), needed: upNeeds, default: 1)
      return (down, up.reversed())
    }
    guard down.allSatisfy({ Set($0).count <= 1 }) else { throw .missing(json.file, key: "reverse_" + key) }
    return (down, zip(down, upCounts).map { [Int](repeating: $0.first ?? 1, count: $1) })
  }

  private static func middle(
    _ json: JSONConfiguration, _ layers: [[Int]]
  ) throws(ConfigurationError) -> Middle {
    if json.isNull("mid_block_type") { return .none }
    switch try json.string("mid_block_type", default: "UNetMidBlock2DCrossAttn") {
    case "UNetMidBlock2DCrossAttn": return .attention(layers: layers.last?.first ?? 1)
    case "UNetMidBlock2D": return .residual
    case let other:
      throw .unsupported(
        json.file, key: "mid_block_type", value: "'\(other)'",
        expected: "UNetMidBlock2DCrossAttn, UNetMidBlock2D or null")
    }
  }

  /// One number for both sides, or height and width.
  private static func sampleSize(_ json: JSONConfiguration) throws(ConfigurationError) -> (Int, Int) {
    guard case .array = json["sample_size"] else {
      let side = try json.whole("sample_size", default: 64, in: 1...1024)
      return (side, side)
    }
    let sides = try json.integers("sample_size")
    guard sides.count == 2, sides.allSatisfy({ $0 <= 1024 }) else {
      throw .unsupported(json.file, key: "sample_size", value: "\(sides)", expected: "one or two numbers to 1024")
    }
    return (sides[0], sides[1])
  }

  private static func textTime(_ json: JSONConfiguration) throws(ConfigurationError) -> TextTime? {
    guard json.has("addition_embed_type") else { return nil }
    try json.require("addition_embed_type", "text_time")
    return TextTime(
      timeFeatures: try json.integer("addition_time_embed_dim"),
      projectionInputs: try json.integer("projection_class_embeddings_input_dim"))
  }

  /// Read above.
  private static let readKeys: Set<String> = [
    "sample_size", "in_channels", "out_channels", "block_out_channels", "down_block_types", "up_block_types",
    "layers_per_block", "num_attention_heads", "attention_head_dim", "transformer_layers_per_block",
    "reverse_transformer_layers_per_block", "mid_block_type", "only_cross_attention", "cross_attention_dim",
    "norm_num_groups", "norm_eps", "use_linear_projection", "flip_sin_to_cos", "freq_shift", "addition_embed_type",
    "addition_time_embed_dim", "projection_class_embeddings_input_dim",
  ]

  /// They concern training, how a product is computed, or layers that Stable Diffusion's UNets do not have.
  private static let idleKeys: Set<String> = [
    "dropout", "upcast_attention", "addition_embed_type_num_heads", "mid_block_only_cross_attention",
    "conditioning_embedding_out_channels",
  ]

  /// Switches that would change the network and that Stable Diffusion leaves alone, with the values that change nothing.
  private static let fixedKeys: [String: [StrictJSON]] = [
    "center_input_sample": [.boolean(false)], "dual_cross_attention": [.boolean(false)],
    "class_embeddings_concat": [.boolean(false)], "resnet_skip_time_act": [.boolean(false)],
    "global_pool_conditions": [.boolean(false)],
    "act_fn": [.string("silu"), .string("swish")], "resnet_time_scale_shift": [.string("default")],
    "time_embedding_type": [.string("positional")], "attention_type": [.string("default")],
    "controlnet_conditioning_channel_order": [.string("rgb")], "conditioning_channels": [.integer(3)],
    "conv_in_kernel": [.integer(3)], "conv_out_kernel": [.integer(3)], "downsample_padding": [.integer(1)],
    "mid_block_scale_factor": [.integer(1), .number(1)], "resnet_out_scale_factor": [.integer(1), .number(1)],
  ]

  /// Layers that are not built.
  private static let absentKeys: Set<String> = [
    "class_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "time_cond_proj_dim", "cross_attention_norm",
    "time_embedding_act_fn", "timestep_post_act", "num_class_embeds",
  ]

  private static func refuseUnknown(
    _ json: JSONConfiguration, isControlNet: Bool, timeFeatures: Int
  ) throws(ConfigurationError) {
    for key in absentKeys.sorted() where json.has(key) {
      throw .unsupported(json.file, key: key, value: json.text(key), expected: "null")
    }
    for (key, values) in fixedKeys.sorted(by: { $0.key < $1.key }) where json.has(key) {
      guard let found = json[key], values.contains(found) else {
        throw .unsupported(json.file, key: key, value: json.text(key), expected: values[0].inWords)
      }
    }
    let features = try json.integer("time_embedding_dim", default: timeFeatures)
    guard features == timeFeatures else {
      throw .unsupported(json.file, key: "time_embedding_dim", value: "\(features)", expected: "\(timeFeatures)")
    }
    try json.refuseKeys(except: readKeys.union(idleKeys).union(fixedKeys.keys).union(["time_embedding_dim"]))
  }
}
