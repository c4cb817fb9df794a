internal import MILRuntime
internal import StableDiffusion
internal import Tensors

/// A text encoder, from a folder or a package.
struct TextEncoding: Sendable {
  /// Which of a text encoder's states a UNet attends to.
  enum Layer: Sendable {
    /// The last, normalized: SD 1.x and 2.x.
    case last
    /// The one before it, as it is: SDXL.
    case penultimate
  }

  private enum Engine: Sendable {
    case native(TextEncoder)
    case package(PackageModel, tokens: Int)
  }

  private let engine: Engine
  private let layer: Layer
  /// Tokens of a prompt at most.
  let tokens: Int

  init(_ place: ModelPlace, layer: Layer) throws {
    self.layer = layer
    switch place {
    case .component(let component):
      let encoder = try component.textEncoder().model
      engine = .native(encoder)
      tokens = encoder.configuration.positions
    case .package(let path):
      let model = try PackageModel(path: path)
      let shape = try model.shape(of: "input_ids", rank: 2)
      engine = .package(model, tokens: shape[1])
      tokens = shape[1]
    }
  }

  /// The states of one prompt, `[1, tokens, features]`, and its pooled text, `[1, features]`, if the model has one.
  ///
  /// - Parameter identifiers: token numbers, as many as ``tokens`` for packages.
  func callAsFunction(_ identifiers: [Int]) throws -> Conditioning {
    switch engine {
    case .native(let encoder):
      guard identifiers.count <= tokens, identifiers.allSatisfy({ $0 < encoder.configuration.vocabulary })
      else {
        throw GenerationError.mismatch(
          what: "tokenizer and text encoder",
          expected: "at most \(tokens) tokens below \(encoder.configuration.vocabulary)",
          found: "\(identifiers.count) tokens up to \(identifiers.max() ?? 0)")
      }
      let output = Execution.withoutGradients { encoder([identifiers]) }
      let states = output.hiddenStates
      return Conditioning(
        states: layer == .last ? output.lastHiddenState : states[states.count - 2],
        pooled: output.embeddings ?? output.pooled)
    case .package(let model, let tokens):
      guard identifiers.count == tokens else {
        throw GenerationError.mismatch(
          what: model.path, expected: "\(tokens) tokens, as its tokenizer should pad to",
          found: "\(identifiers.count)")
      }
      let input = Tensor([1, tokens], identifiers.map { Float($0) })
      let outputs = try model.results(inputs: ["input_ids": input])
      // coreml-diffusion has the states that the model's UNet takes under one name for all models.
      let name = layer == .last ? "last_hidden_state" : "hidden_embeds"
      guard let states = outputs[name] ?? outputs["hidden_states"], states.shape.rank == 3, states.shape[0] == 1 else {
        throw GenerationError.package(
          path: model.path, expected: "an output '\(name)' [1, tokens, features]",
          found: outputs.keys.sorted().joined(separator: ", "))
      }
      return Conditioning(states: states, pooled: outputs["pooled_outputs"] ?? outputs["pooled_embeds"])
    }
  }
}
