package import Layers
package import Tensors

/// `config.json` of a CLIP text encoder.
package struct TextEncoderConfiguration: Sendable, Equatable {
  package enum Activation: String, Sendable {
    case gelu, quickGELU = "quick_gelu", geluTanh = "gelu_new"
  }

  package let vocabulary: Int
  package let features: Int
  package let intermediateFeatures: Int
  package let layers: Int
  package let heads: Int
  /// Tokens of the longest prompt.
  package let positions: Int
  package let epsilon: Float
  package let activation: Activation
  /// Features of the projected pooled text; nil if the model has no projection.
  package let projection: Int?
  /// The token whose state is the pooled text.
  package let endOfText: Int

  package init(folder: String) throws(ConfigurationError) {
    let json = try JSONConfiguration(file: folder + "/config.json")
    vocabulary = try json.integer("vocab_size")
    features = try json.integer("hidden_size")
    intermediateFeatures = try json.integer("intermediate_size")
    layers = try json.integer("num_hidden_layers")
    heads = try json.integer("num_attention_heads")
    positions = try json.integer("max_position_embeddings")
    epsilon = try Float(json.number("layer_norm_eps", default: 1e-5))
    let name = try json.string("hidden_act")
    guard let activation = Activation(rawValue: name) else {
      throw .unsupported(
        json.file, key: "hidden_act", value: "'\(name)'", expected: "gelu, quick_gelu or gelu_new")
    }
    self.activation = activation
    let architectures = json.has("architectures") ? try json.strings("architectures") : []
    projection =
      architectures.contains("CLIPTextModelWithProjection")
      ? try json.integer("projection_dim") : nil
    endOfText = try json.whole("eos_token_id", default: 2, in: 0...1_000_000)
    guard features % heads == 0 else {
      throw .unsupported(
        json.file, key: "num_attention_heads", value: "\(heads)",
        expected: "a divisor of hidden_size \(features)")
    }
  }
}

/// The text half of CLIP (Radford et al. 2021).
///
/// Known to transformers as `CLIPTextModel` and `CLIPTextModelWithProjection`.
package struct TextEncoder: Sendable {
  package let configuration: TextEncoderConfiguration
  private let tokens, positions: Parameter
  private let layers: [CLIPLayer]
  private let finalNorm: LayerNormLayer
  private let projection: LinearLayer?

  package init(
    _ source: any ParameterSource, _ configuration: TextEncoderConfiguration
  ) throws(ParameterError) {
    let scope = ParameterScope(source).onlyPart("text_model", with: "embeddings.token_embedding.weight")
    self.configuration = configuration
    let embeddings = scope["embeddings"]
    tokens = try embeddings["token_embedding"].parameter(
      "weight", [configuration.vocabulary, configuration.features])
    positions = try embeddings["position_embedding"].parameter(
      "weight", [configuration.positions, configuration.features])
    var layers: [CLIPLayer] = []
    for index in 0..<configuration.layers {
      layers.append(
        try CLIPLayer(
          scope["encoder.layers"][index], features: configuration.features,
          intermediateFeatures: configuration.intermediateFeatures, heads: configuration.heads,
          epsilon: configuration.epsilon, activation: configuration.activation, causal: true))
    }
    self.layers = layers
    finalNorm = try LayerNormLayer(
      scope["final_layer_norm"], features: configuration.features, epsilon: configuration.epsilon)
    if let outputs = configuration.projection {
      projection = try LinearLayer(
        ParameterScope(source)["text_projection"], inputs: configuration.features,
        outputs: outputs, bias: false)
    } else {
      projection = nil
    }
  }

  package struct Output: Sendable {
    /// The embeddings, then the states behind each layer, without the final norm: `[batch, tokens, features]` each.
    package let hiddenStates: [Tensor]
    /// The last of them, normalized.
    package let lastHiddenState: Tensor
    /// The normalized state of each prompt's end-of-text token, `[batch, features]`.
    package let pooled: Tensor
    /// The pooled state projected, `[batch, projection]`; nil if the model has no projection.
    package let embeddings: Tensor?
  }

  /// - Parameter identifiers: token numbers of each prompt, all of one length.
  package func callAsFunction(_ identifiers: [[Int]]) -> Output {
    let (batch, length) = (identifiers.count, identifiers[0].count)
    precondition(
      length <= configuration.positions && identifiers.allSatisfy { $0.count == length },
      "text encoder: prompts of \(identifiers.map(\.count)) tokens, at most \(configuration.positions)")
    let numbers = identifiers.flatMap { $0.map(Float.init) }
    return self(Tensor([batch, length], numbers))
  }

  /// - Parameter identifiers: token numbers, whole, `[batch, tokens]`.
  package func callAsFunction(_ identifiers: Tensor) -> Output {
    let words = TokenEmbedding()(identifiers, tokens.value)
    let places = LeadingRows(count: identifiers.shape[1])(positions.value)
    var states = [words + places]
    for layer in layers { states.append(layer(states[states.count - 1])) }
    let last = finalNorm(states[states.count - 1])
    let pooled = TokenSelection(endOfText)(last, identifiers)
    return Output(
      hiddenStates: states, lastHiddenState: last, pooled: pooled,
      embeddings: projection?(pooled))
  }

  /// The pooled token. Configurations from before transformers 4.24 say 2 for the end-of-text token and mean the
  /// largest number, which it is in CLIP's vocabulary.
  private var endOfText: TokenSelection.Rule {
    configuration.endOfText == 2 ? .largest : .number(configuration.endOfText)
  }
}
