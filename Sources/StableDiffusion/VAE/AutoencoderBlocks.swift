internal import Layers
internal import Tensors

/// Residual blocks, then halving with zeros at the right and bottom only (`DownEncoderBlock2D`).
struct EncoderLevel: Sendable {
  private let blocks: [ResidualBlock]
  private let downsampler: ConvolutionLayer?

  init(
    _ scope: ParameterScope, inputs: Int, outputs: Int, halves: Bool,
    in vae: AutoencoderConfiguration
  ) throws(ParameterError) {
    blocks = try ResidualBlock.row(
      scope["resnets"], count: vae.layersPerBlock, inputs: inputs, outputs: outputs, in: vae)
    downsampler =
      halves
      ? try ConvolutionLayer(
        scope["downsamplers.0.conv"], inputs: outputs, outputs: outputs, kernel: 3, stride: 2,
        padding: .init(top: 0, left: 0, bottom: 1, right: 1)) : nil
  }

  /// - Parameter h: the level's input, and then its output: at full size an image is not kept for the caller's sake.
  func callAsFunction(_ h: inout Tensor) {
    for block in blocks { h = block(h) }
    if let downsampler { h = downsampler(h) }
  }
}

/// Residual blocks, then nearest-neighbour doubling and a convolution (`UpDecoderBlock2D`).
struct DecoderLevel: Sendable {
  private let blocks: [ResidualBlock]
  private let upsampler: ConvolutionLayer?

  init(
    _ scope: ParameterScope, inputs: Int, outputs: Int, doubles: Bool,
    in vae: AutoencoderConfiguration
  ) throws(ParameterError) {
    blocks = try ResidualBlock.row(
      scope["resnets"], count: vae.layersPerBlock + 1, inputs: inputs, outputs: outputs, in: vae)
    upsampler =
      doubles
      ? try ConvolutionLayer(
        scope["upsamplers.0.conv"], inputs: outputs, outputs: outputs, kernel: 3) : nil
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let h = blocks.reduce(x) { h, block in block(h) }
    guard let upsampler else { return h }
    return upsampler(h.upsampled(height: 2 * h.shape[1], width: 2 * h.shape[2]))
  }
}

/// Residual block, attention of one head over all pixels, residual block (`UNetMidBlock2D`).
struct AutoencoderMiddle: Sendable {
  private let blocks: [ResidualBlock]
  private let norm: GroupNormLayer
  private let attention: AttentionLayer

  init(
    _ scope: ParameterScope, channels: Int, in vae: AutoencoderConfiguration
  ) throws(ParameterError) {
    blocks = try ResidualBlock.row(
      scope["resnets"], count: 2, inputs: channels, outputs: channels, in: vae)
    let attended = scope["attentions.0"]
    norm = try GroupNormLayer(
      attended["group_norm"], channels: channels, groups: vae.groups, epsilon: 1e-6)
    attention = try AttentionLayer(attended, features: channels, heads: 1, inputBias: true)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let h = blocks[0](x)
    let tokens: Shape = [h.shape[0], h.shape[1] * h.shape[2], h.shape[3]]
    let attended = attention(norm(h).reshaped(tokens)).reshaped(h.shape)
    return blocks[1](attended + h)
  }
}

extension ResidualBlock {
  /// Blocks one behind the other, without a timestep.
  fileprivate static func row(
    _ scope: ParameterScope, count: Int, inputs: Int, outputs: Int,
    in vae: AutoencoderConfiguration
  ) throws(ParameterError) -> [ResidualBlock] {
    var blocks: [ResidualBlock] = []
    for index in 0..<count {
      blocks.append(
        try ResidualBlock(
          scope[index], inputs: index == 0 ? inputs : outputs, outputs: outputs,
          timeFeatures: nil, groups: vae.groups, epsilon: 1e-6))
    }
    return blocks
  }
}
