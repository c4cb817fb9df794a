internal import StrictJSON

/// `config.json` of an AutoencoderKL.
package struct AutoencoderConfiguration: Sendable, Equatable {
  package let imageChannels: Int
  package let latentChannels: Int
  /// Channels of each level, finest first.
  package let blockChannels: [Int]
  /// Residual blocks of each level of the encoder; the decoder has one more.
  package let layersPerBlock: Int
  package let groups: Int
  /// Latents are multiplied by it on their way to the UNet.
  package let scalingFactor: Float
  /// What is subtracted from latents before that (`shift_factor`).
  package let shiftFactor: Float
  /// Whether activations overflow half precision (`force_upcast`).
  package let needsSinglePrecision: Bool
  /// Pixels of the pictures it was trained on; nil if not said.
  package let sampleSize: Int?

  /// Pixels of a latent pixel's side.
  package var magnification: Int { 1 << (blockChannels.count - 1) }

  package init(folder: String) throws(ConfigurationError) {
    try self.init(JSONConfiguration(file: folder + "/config.json"))
  }

  /// One number, or height and width of a square.
  private static func sampleSize(_ json: JSONConfiguration) throws(ConfigurationError) -> Int? {
    guard json.has("sample_size") else { return nil }
    guard case .array = json["sample_size"] else { return try json.integer("sample_size") }
    let sides = try json.integers("sample_size")
    return sides.allSatisfy { $0 == sides[0] } ? sides[0] : nil
  }

  package init(_ json: JSONConfiguration) throws(ConfigurationError) {
    try json.require("_class_name", "AutoencoderKL")
    imageChannels = try json.integer("in_channels", default: 3)
    latentChannels = try json.integer("latent_channels", default: 4)
    blockChannels = try json.integers("block_out_channels")
    guard blockChannels.count <= 8 else {
      throw .unsupported(
        json.file, key: "block_out_channels", value: "\(blockChannels.count) levels", expected: "at most 8")
    }
    layersPerBlock = try json.integer("layers_per_block", default: 1)
    groups = try json.integer("norm_num_groups", default: 32)
    scalingFactor = try Float(json.number("scaling_factor", default: 0.18215))
    shiftFactor = json.has("shift_factor") ? try Float(json.number("shift_factor")) : 0
    needsSinglePrecision = try json.boolean("force_upcast", default: true)
    sampleSize = try Self.sampleSize(json)
    guard blockChannels.allSatisfy({ $0 % groups == 0 }) else {
      throw .unsupported(
        json.file, key: "norm_num_groups", value: "\(groups)",
        expected: "a divisor of block_out_channels \(blockChannels)")
    }
    for (key, kind) in [
      ("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D"),
    ] where json.has(key) {
      let kinds = try json.strings(key)
      guard kinds == blockChannels.map({ _ in kind }) else {
        throw .unsupported(
          json.file, key: key, value: "\(kinds)", expected: "\(blockChannels.count) times \(kind)")
      }
    }
    for key in ["use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"]
    where try !json.boolean(key, default: true) {
      throw .unsupported(json.file, key: key, value: "false", expected: "true")
    }
    if json.has("act_fn") { try json.require("act_fn", "silu") }
    // What latents are normalized with is folded into the weights; see ModelComponent.
    try json.refuseKeys(except: Self.readKeys)
  }

  private static let readKeys: Set<String> = [
    "in_channels", "out_channels", "latent_channels", "block_out_channels", "layers_per_block", "norm_num_groups",
    "scaling_factor", "shift_factor", "force_upcast", "sample_size", "down_block_types", "up_block_types",
    "use_quant_conv", "use_post_quant_conv", "mid_block_add_attention", "act_fn", "latents_mean", "latents_std",
  ]
}
