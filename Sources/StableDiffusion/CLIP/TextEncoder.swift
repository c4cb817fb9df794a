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
    try self.init(JSONConfiguration(file: folder + "/config.json"))
  }

  package init(_ whole: JSONConfiguration) throws(ConfigurationError) {
    // A whole CLIP says the text half's sizes apart, as transformers reads them.
    let isWhole = try whole.string("model_type", default: "") == "clip" && whole.has("text_config")
    let json = isWhole ? whole.object("text_config") : whole
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
    let architectures = whole.has("architectures") ? try whole.strings("architectures") : []
    projection =
      architectures.contains("CLIPTextModelWithProjection")
      ? try whole.integer("projection_dim", default: 512) : nil
    endOfText = try json.whole("eos_token_id", default: 2, in: 0...1_000_000)
    guard features % heads == 0 else {
      throw .unsupported(
        json.file, key: "num_attention_heads", value: "\(heads)",
        expected: "a divisor of hidden_size \(features)")
    }
    try json.refuseKeys(except: Self.readKeys.union(Self.idleKeys))
  }
}

extension TextEncoderConfiguration {
  /// Read by the initializer.
  fileprivate static let readKeys: Set<String> = [
    "architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "max_position_embeddings", "layer_norm_eps", "hidden_act", "projection_dim", "eos_token_id",
  ]

  /// Notes, training, generation of text: what transformers writes into every configuration and CLIP's text half does not
  /// heed. `quantization_config` is none of them.
  fileprivate static let idleKeys: Set<String> = [
    "add_cross_attention", "attention_dropout", "attn_implementation", "bad_words_ids", "begin_suppress_tokens",
    "bos_token_id", "chunk_size_feed_forward", "cross_attention_hidden_size", "decoder_start_token_id",
    "diversity_penalty", "do_sample", "dropout", "dtype", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id",
    "gradient_checkpointing", "id2label", "initializer_factor", "initializer_range", "is_decoder",
    "is_encoder_decoder", "label2id", "length_penalty", "logit_scale_init_value", "max_length", "min_length",
    "model_type", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
    "output_attentions", "output_hidden_states", "output_scores", "pad_token_id", "prefix", "problem_type",
    "pruned_heads", "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate",
    "sep_token_id", "suppress_tokens", "task_specific_params", "temperature", "text_config", "text_config_dict",
    "tf_legacy_loss", "tie_encoder_decoder", "tie_word_embeddings", "tokenizer_class", "top_k", "top_p",
    "torch_dtype", "torchscript", "transformers_version", "typical_p", "use_bfloat16", "use_cache", "vision_config",
    "vision_config_dict", "name_or_path",
  ]
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
    let scope = ParameterScope(source)["text_model"]
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
