package import Layers
internal import MIL
package import StableDiffusion
internal import Tensors

extension TracedNetwork {
  /// Which state a text encoder gives to the UNet.
  package enum TextStates: Sendable {
    /// The last one, normalized: `last_hidden_state` (SD 1.x and 2.x).
    case last
    /// The last but one as it is: `hidden_embeds` (SDXL).
    case penultimate
  }

  /// A CLIP text encoder with Apple's features: `input_ids` (floats) to the states and `pooled_outputs`.
  ///
  /// - Parameter tokens: of a prompt; the encoder's longest if nil.
  package static func textEncoder(
    _ configuration: TextEncoderConfiguration, tokens: Int? = nil, states: TextStates,
    source: any ParameterSource = TraceParameters()
  ) throws -> TracedNetwork {
    let tokens = tokens ?? configuration.positions
    guard tokens > 0, tokens <= configuration.positions, configuration.layers > 0 else {
      throw ExportError.tokens(tokens, longest: configuration.positions)
    }
    let encoder = try TextEncoder(source, configuration)
    let output = Execution.tracing {
      encoder(.placeholder(named: "input_ids", shape: [1, tokens]))
    }
    let pooled = Output(
      "pooled_outputs", output.embeddings ?? output.pooled, description: FeatureText.pooledOutput)
    let hidden =
      switch states {
      case .last:
        Output("last_hidden_state", output.lastHiddenState, description: FeatureText.lastState)
      case .penultimate:
        Output(
          "hidden_embeds", output.hiddenStates[output.hiddenStates.count - 2],
          description: FeatureText.penultimateState)
      }
    return TracedNetwork(
      inputs: [
        Input("input_ids", .float32, [1, tokens], description: FeatureText.tokenNumbers)
      ], outputs: [hidden, pooled])
  }
}
