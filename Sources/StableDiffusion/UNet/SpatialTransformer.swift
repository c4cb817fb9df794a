internal import Layers
internal import Tensors

/// Transformer layers over the pixels of an image, attending to the text; each is recomputed by itself in the backward
/// pass, so that no more than one layer's soft weights exist at a time: SDXL has ten of them in a row.
///
/// Known to diffusers as `Transformer2DModel`.
struct SpatialTransformer: Sendable {
  private let norm: GroupNormLayer
  private let projectIn, projectOut: TokenProjection
  private let layers: [TransformerLayer]

  /// What differs from one transformer of a UNet to another.
  struct Form: Sendable {
    /// Whose heads and context it has.
    let level: Int
    let layers: Int
    /// The middle's first attention always sees the image.
    var isMiddle = false
  }

  init(
    _ scope: ParameterScope, channels: Int, _ form: Form, in unet: UNetConfiguration
  ) throws(ParameterError) {
    norm = try GroupNormLayer(
      scope["norm"], channels: channels, groups: unet.groups, epsilon: 1e-6)
    let convolution = !unet.usesLinearProjection
    projectIn = try TokenProjection(
      scope["proj_in"], inputs: channels, outputs: channels, convolution: convolution)
    var layers: [TransformerLayer] = []
    for index in 0..<form.layers {
      layers.append(
        try TransformerLayer(
          scope["transformer_blocks"][index], features: channels,
          context: unet.contextFeatures[form.level], heads: unet.heads[form.level],
          seesTextAlone: unet.seesTextAlone[form.level] && !form.isMiddle))
    }
    self.layers = layers
    projectOut = try TokenProjection(
      scope["proj_out"], inputs: channels, outputs: channels, convolution: convolution)
  }

  /// - Parameters:
  ///   - x: `[batch, height, width, channels]`
  ///   - context: the text states, `[batch, tokens, context]`
  func callAsFunction(_ x: Tensor, context: Tensor) -> Tensor {
    let tokens: Shape = [x.shape[0], x.shape[1] * x.shape[2], x.shape[3]]
    let projected = recomputed { projectIn(norm(x).reshaped(tokens)) }
    let h = layers.reduce(projected) { h, layer in recomputed { layer(h, context: context) } }
    return recomputed { projectOut(h).reshaped(x.shape) + x }
  }
}

/// Self-attention, cross-attention and a gated feed-forward, each on a normalized copy and added back.
///
/// Known to diffusers as `BasicTransformerBlock`.
struct TransformerLayer: Sendable {
  private let norm1, norm2, norm3: LayerNormLayer
  private let selfAttention, crossAttention: AttentionLayer
  private let gate, output: LinearLayer
  private let seesTextAlone: Bool

  init(
    _ scope: ParameterScope, features: Int, context: Int, heads: Int, seesTextAlone: Bool
  ) throws(ParameterError) {
    self.seesTextAlone = seesTextAlone
    norm1 = try LayerNormLayer(scope["norm1"], features: features)
    selfAttention = try AttentionLayer(
      scope["attn1"], features: features, context: seesTextAlone ? context : nil, heads: heads)
    norm2 = try LayerNormLayer(scope["norm2"], features: features)
    crossAttention = try AttentionLayer(
      scope["attn2"], features: features, context: context, heads: heads)
    norm3 = try LayerNormLayer(scope["norm3"], features: features)
    gate = try LinearLayer(
      scope["ff.net.0.proj"], inputs: features, outputs: 8 * features)
    output = try LinearLayer(scope["ff.net.2"], inputs: 4 * features, outputs: features)
  }

  /// - Parameters:
  ///   - x: `[batch, tokens, features]`
  ///   - context: `[batch, keys, context]`
  func callAsFunction(_ x: Tensor, context: Tensor) -> Tensor {
    var h = selfAttention(norm1(x), context: seesTextAlone ? context : nil) + x
    h = crossAttention(norm2(h), context: context) + h
    return output(gate(norm3(h)).geglu()) + h
  }
}
