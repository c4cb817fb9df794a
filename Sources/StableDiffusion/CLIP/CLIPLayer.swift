internal import Layers
internal import Tensors

/// Self-attention and a feed-forward, each on a normalized copy and added back (`CLIPEncoderLayer`).
struct CLIPLayer: Sendable {
  private let norm1, norm2: LayerNormLayer
  private let attention: AttentionLayer
  private let feedForward1, feedForward2: LinearLayer
  private let activation: TextEncoderConfiguration.Activation

  /// - Parameter causal: whether tokens see only those before them, as in the text encoder.
  init(
    _ scope: ParameterScope, features: Int, intermediateFeatures: Int, heads: Int, epsilon: Float,
    activation: TextEncoderConfiguration.Activation, causal: Bool
  ) throws(ParameterError) {
    norm1 = try LayerNormLayer(scope["layer_norm1"], features: features, epsilon: epsilon)
    attention = try AttentionLayer(
      scope["self_attn"], names: .transformers, features: features, heads: heads, inputBias: true,
      causal: causal)
    norm2 = try LayerNormLayer(scope["layer_norm2"], features: features, epsilon: epsilon)
    feedForward1 = try LinearLayer(
      scope["mlp.fc1"], inputs: features, outputs: intermediateFeatures)
    feedForward2 = try LinearLayer(
      scope["mlp.fc2"], inputs: intermediateFeatures, outputs: features)
    self.activation = activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let h = attention(norm1(x)) + x
    let inner = feedForward1(norm2(h))
    let activated =
      switch activation {
      case .gelu: inner.gelu()
      case .quickGELU: inner.quickGELU()
      case .geluTanh: inner.geluTanh()
      }
    return feedForward2(activated) + h
  }
}
