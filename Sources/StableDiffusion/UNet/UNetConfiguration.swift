internal import Foundation
package import Tensors

/// `config.json` of a UNet2DConditionModel, as far as Stable Diffusion 1.x, 2.x and XL use it.
package struct UNetConfiguration: Sendable, Equatable {
  package enum BlockKind: String, Sendable {
    case crossAttentionDown = "CrossAttnDownBlock2D", down = "DownBlock2D"
    case crossAttentionUp = "CrossAttnUpBlock2D", up = "UpBlock2D"

    var hasAttention: Bool { self == .crossAttentionDown || self == .crossAttentionUp }
  }

  package let inputChannels: Int
  package let outputChannels: Int
  /// Channels of each level, finest first.
  package let blockChannels: [Int]
  package let downBlocks: [BlockKind]
  package let upBlocks: [BlockKind]
  /// Residual blocks of each level on the way down; one more on the way up.
  package let layersPerBlock: [Int]
  /// Attention heads of each level.
  package let heads: [Int]
  /// Transformer layers in each attention block of a level.
  package let transformerLayers: [Int]
  /// Features of the text states that each level attends to.
  package let contextFeatures: [Int]
  /// Groups of the group norms.
  package let groups: Int
  package let normEpsilon: Float
  /// Whether the transformers' projections are linears instead of 1×1 convolutions.
  package let usesLinearProjection: Bool
  package let flipsSinToCos: Bool
  package let frequencyShift: Float
  /// Latent height and width the model was trained on, in latent pixels.
  package let sampleSize: Int
  /// SDXL's conditioning on pooled text and picture size; nil without.
  package let textTime: TextTime?

  package struct TextTime: Sendable, Equatable {
    /// Sine features of each number in `time_ids`.
    package let timeFeatures: Int
    /// Features of all time ids and the pooled text together.
    package let projectionInputs: Int
  }

  /// Features of the timestep embedding.
  var timeFeatures: Int { blockChannels[0] * 4 }
  /// Channels of the images that the way down hands to the way up: behind the first convolution, each residual block
  /// and each halving.
  package var skipChannels: [Int] {
    var channels = [blockChannels[0]]
    for (level, width) in blockChannels.enumerated() {
      let halvings = level < blockChannels.count - 1 ? 1 : 0
      channels += [Int](repeating: width, count: layersPerBlock[level] + halvings)
    }
    return channels
  }
  /// Shapes of these images and, last, of the middle: `[batch, height, width, channels]` each.
  ///
  /// - Parameter height: latent pixels, as is `width`.
  package func skipShapes(batch: Int, height: Int, width: Int) -> [Shape] {
    var (height, width) = (height, width)
    var shapes: [Shape] = [[batch, height, width, blockChannels[0]]]
    for (level, channels) in blockChannels.enumerated() {
      shapes += [Shape](repeating: [batch, height, width, channels], count: layersPerBlock[level])
      if level < blockChannels.count - 1 {
        (height, width) = ((height + 1) / 2, (width + 1) / 2)
        shapes.append([batch, height, width, channels])
      }
    }
    return shapes + [[batch, height, width, blockChannels[blockChannels.count - 1]]]
  }
}

extension UNetConfiguration {
  /// - Throws: naming the key that is missing or has a value the engine does not know.
  package init(folder: String) throws(ConfigurationError) {
    try self.init(JSONConfiguration(file: folder + "/config.json"), isControlNet: false)
  }

  /// - Parameter folder: of a ControlNet, which has a UNet's way down alone.
  package init(controlNetFolder folder: String) throws(ConfigurationError) {
    try self.init(JSONConfiguration(file: folder + "/config.json"), isControlNet: true)
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
    let headKey = json.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim"
    heads = try json.integers(headKey, repeated: levels)
    transformerLayers = try json.integers(
      "transformer_layers_per_block", repeated: levels, default: 1)
    contextFeatures = try json.integers("cross_attention_dim", repeated: levels)
    groups = try json.integer("norm_num_groups", default: 32)
    normEpsilon = try Float(json.number("norm_eps", default: 1e-5))
    usesLinearProjection = try json.boolean("use_linear_projection", default: false)
    flipsSinToCos = try json.boolean("flip_sin_to_cos", default: true)
    frequencyShift = try Float(json.number("freq_shift", default: 0))
    sampleSize = try json.whole("sample_size", default: 64, in: 1...1024)
    textTime = try Self.textTime(json)
    try Self.refuseUnknown(json)
    if isControlNet { try Self.refuseUnknownControl(json) }
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

  private static func textTime(_ json: JSONConfiguration) throws(ConfigurationError) -> TextTime? {
    guard json.has("addition_embed_type") else { return nil }
    try json.require("addition_embed_type", "text_time")
    return TextTime(
      timeFeatures: try json.integer("addition_time_embed_dim"),
      projectionInputs: try json.integer("projection_class_embeddings_input_dim"))
  }

  private static func refuseUnknownControl(_ json: JSONConfiguration) throws(ConfigurationError) {
    if json.has("controlnet_conditioning_channel_order") {
      try json.require("controlnet_conditioning_channel_order", "rgb")
    }
    if try json.boolean("global_pool_conditions", default: false) {
      throw .unsupported(json.file, key: "global_pool_conditions", value: "true", expected: "false")
    }
  }

  /// Switches that would change the network and that Stable Diffusion leaves alone.
  private static func refuseUnknown(_ json: JSONConfiguration) throws(ConfigurationError) {
    for key in [
      "class_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "time_cond_proj_dim",
      "cross_attention_norm", "time_embedding_act_fn", "timestep_post_act", "num_class_embeds",
    ] where json.has(key) {
      throw .unsupported(json.file, key: key, value: json.text(key), expected: "null")
    }
    for key in [
      "center_input_sample", "dual_cross_attention", "only_cross_attention",
      "class_embeddings_concat", "resnet_skip_time_act",
    ] where try json.boolean(key, default: false) {
      throw .unsupported(json.file, key: key, value: "true", expected: "false")
    }
    for (key, value) in [
      "act_fn": "silu", "mid_block_type": "UNetMidBlock2DCrossAttn",
      "resnet_time_scale_shift": "default", "time_embedding_type": "positional",
      "attention_type": "default",
    ].sorted(by: { $0.key < $1.key }) where json.has(key) {
      try json.require(key, value)
    }
    for (key, value) in [
      "conv_in_kernel": 3, "conv_out_kernel": 3, "downsample_padding": 1,
      "mid_block_scale_factor": 1, "resnet_out_scale_factor": 1,
    ].sorted(by: { $0.key < $1.key }) {
      let found = try json.number(key, default: Double(value))
      guard found == Double(value) else {
        throw .unsupported(json.file, key: key, value: "\(found)", expected: "\(value)")
      }
    }
  }
}
