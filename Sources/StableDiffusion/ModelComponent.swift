package import Files
internal import Foundation
internal import Kernels
package import Layers
internal import StrictJSON
internal import Tensors
package import WeightFiles

/// One network of a model: its configuration and its weights, wherever they lie.
///
/// Weights go by the names of today's diffusers and of transformers before 5.6, whatever the files call them.
package struct ModelComponent: Sendable {
  /// `config.json`, or what stands for it.
  package let configuration: JSONConfiguration
  package let weights: any WeightSource

  package init(_ configuration: JSONConfiguration, _ weights: any WeightSource) throws {
    (self.configuration, self.weights) = try Self.normalized(configuration, weights)
  }

  /// - Parameter folder: holds `config.json` and the weights, as diffusers and transformers write them.
  package init(folder: String) throws {
    try self.init(Self.configuration(folder: folder), WeightFolder(path: folder))
  }

  /// `config.json` of a folder.
  ///
  /// transformers can leave out which class wrote it; then it is a text encoder, of SDXL's second kind if its folder's name
  /// says so.
  package static func configuration(folder: String) throws -> JSONConfiguration {
    let json = try JSONConfiguration(file: folder + "/config.json")
    guard !json.has("_class_name"), !json.has("architectures"), json.has("hidden_act") || json.has("text_config") else {
      return json
    }
    let name = folder.hasSuffix("_2") ? "CLIPTextModelWithProjection" : "CLIPTextModel"
    return json.replacing(["architectures": .array([.string(name)])])
  }

  /// The same with other weights.
  package func replacing(weights: any WeightSource) throws -> ModelComponent {
    try ModelComponent(configuration, weights)
  }

  /// What messages call it.
  package var origin: String { weights.origin }

  /// diffusers' `_class_name` or the first of transformers' `architectures`.
  package var className: String {
    get throws(ConfigurationError) { try Self.className(configuration) }
  }

  private static func className(_ json: JSONConfiguration) throws(ConfigurationError) -> String {
    if json.has("_class_name") { return try json.string("_class_name") }
    guard json.has("architectures"), let name = try json.strings("architectures").first else {
      throw .missing(json.file, key: "_class_name")
    }
    return name
  }

  // MARK: Names and folded parts

  private static func normalized(
    _ json: JSONConfiguration, _ weights: any WeightSource
  ) throws -> (JSONConfiguration, any WeightSource) {
    switch try className(json) {
    case "AutoencoderKL":
      return try NormalizedLatents(json).folded(into: RenamedWeights.ofAutoencoder(weights))
    case "CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel":
      let projects = try className(json) == "CLIPTextModelWithProjection"
      return (json, RenamedWeights.ofTextEncoder(weights, keepsProjection: projects))
    default: return (json, weights)
    }
  }

  // MARK: Networks

  /// Weights widened to 32 bits: small ones now, large ones whenever they are used.
  ///
  /// - Parameter ignoring: suffixes of names that are no weights of the model, such as `position_ids`.
  package func store(ignoring: [String] = []) throws(FileError) -> ParameterStore {
    var arrays: NamedArrays = [:]
    var stored: [String: (shape: Shape, read: @Sendable () -> WeightElements)] = [:]
    for name in weights.names where !ignoring.contains(where: { name.hasSuffix($0) }) {
      let shape = Shape(weights.shape(of: name) ?? [])
      guard shape.count >= Self.storedSize, weights.holdsFloats(name) else {
        arrays[name] = (shape, try weights.floats(name))
        continue
      }
      // Whatever may fail is tried now: reading again gives the same.
      _ = try weights.elements(name)
      let source = weights
      stored[name] = (
        shape,
        {
          guard let elements = try? source.elements(name) else { preconditionFailure("\(source.origin): \(name)") }
          return elements
        }
      )
    }
    return ParameterStore(arrays, stored: stored, origin: origin) { [weights] in weights.spelling(of: $0) }
  }

  /// Weights of at least so many elements stay in the file, in its precision, and are widened for every use: that costs
  /// a hundredth of the product they go into, and a full-size model takes no memory of its own.
  private static let storedSize = 1 << 18

  /// Names and extents for a trace.
  package func shapes(ignoring suffixes: [String] = []) -> WeightShapes {
    var shapes: [String: Shape] = [:]
    for name in weights.names where !suffixes.contains(where: { name.hasSuffix($0) }) {
      shapes[name] = Shape(weights.shape(of: name) ?? [])
    }
    return WeightShapes(shapes, origin: origin) { [weights] in weights.spelling(of: $0) }
  }

  /// - Throws: ``ConfigurationError``, ``ParameterError`` or ``FileError``: a missing, misshapen or never-used weight is
  ///   named.
  package func unet() throws -> (model: UNet, store: ParameterStore) {
    let configuration = try UNetConfiguration(configuration)
    let store = try store()
    let model = try UNet(store, configuration)
    try store.checkAllUsed()
    return (model, store)
  }

  package func controlNet() throws -> ControlNet {
    let store = try store()
    let model = try controlNet(weights: store)
    try store.checkAllUsed()
    return model
  }

  /// The ControlNet that the configuration describes, with other weights.
  package func controlNet(weights: any ParameterSource) throws -> ControlNet {
    let channels =
      configuration.has("conditioning_embedding_out_channels")
      ? try configuration.integers("conditioning_embedding_out_channels") : [16, 32, 96, 256]
    return try ControlNet(weights, UNetConfiguration(controlNet: configuration), pictureChannels: channels)
  }

  package func safetyChecker() throws -> SafetyChecker {
    let store = try store(ignoring: Self.positionNumbers)
    let model = try SafetyChecker(store, configuration) { store.shape(of: $0) }
    try store.checkAllUsed()
    return model
  }

  /// A CLIP text encoder.
  package func textEncoder() throws -> (model: TextEncoder, store: ParameterStore) {
    let store = try store()
    let model = try TextEncoder(store, TextEncoderConfiguration(configuration))
    try store.checkAllUsed()
    return (model, store)
  }

  /// Both halves of a VAE.
  package func autoencoder() throws -> (encoder: AutoencoderEncoder, decoder: AutoencoderDecoder) {
    let configuration = try AutoencoderConfiguration(configuration)
    let store = try store()
    let encoder = try AutoencoderEncoder(store, configuration)
    let decoder = try AutoencoderDecoder(store, configuration)
    try store.checkAllUsed()
    return (encoder, decoder)
  }

  /// Numbers from 0 on that transformers used to save, and that merges of models have broken.
  package static let positionNumbers = ["position_ids"]
}

extension RenamedWeights {
  /// A VAE under today's names: before 0.17 diffusers called the projections of its attention otherwise, and conversions of
  /// original files left them 1×1 convolutions.
  fileprivate static func ofAutoencoder(_ weights: any WeightSource) -> any WeightSource {
    let old = [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")]
    return renamed(weights) { name in
      guard let (before, now) = old.first(where: { name.contains(".attentions.0.\($0.0).") }) else { return name }
      return name.replacingOccurrences(of: ".attentions.0.\(before).", with: ".attentions.0.\(now).")
    }
  }

  /// A text encoder with `text_model.` in front, which transformers 5.6 leaves out, and without what a whole CLIP holds
  /// beside it.
  fileprivate static func ofTextEncoder(_ weights: any WeightSource, keepsProjection: Bool) -> any WeightSource {
    let beside = ["vision_model.", "visual_projection.", "logit_scale"] + (keepsProjection ? [] : ["text_projection"])
    return renamed(weights) { name in
      if beside.contains(where: { name.hasPrefix($0) }) || name.hasSuffix("position_ids") { return nil }
      return name.hasPrefix("text_model.") || name.hasPrefix("text_projection") ? name : "text_model." + name
    }
  }

  /// - Parameter name: today's name of a tensor, or nil for one that is left out.
  private static func renamed(_ weights: any WeightSource, _ name: (String) -> String?) -> any WeightSource {
    let pairs = weights.names.map { ($0, name($0)) }
    let views = pairs.compactMap { old, new in
      new.map { new -> (String, View) in
        let shape = weights.shape(of: old) ?? []
        let isMatrix = new.contains(".mid_block.attentions.0.to_") && shape.count == 4 && shape[2...] == [1, 1]
        return (new, isMatrix ? .reshaped(old, Array(shape.prefix(2))) : .whole(old))
      }
    }
    guard views.count < pairs.count || views.contains(where: { $1 != .whole($0) }) else { return weights }
    return RenamedWeights(weights, Dictionary(views, uniquingKeysWith: { first, _ in first }))
  }
}

/// What a VAE's configuration says of the mean and the deviation of its latents, which its users would have to apply:
/// `z = (x − mean) / std · scaling_factor`, as diffusers' pipelines have it (`latents_mean`, `latents_std`, `shift_factor`).
///
/// They are folded into the first convolution of the decoder and the last of the encoder, so that everybody who knows the
/// scaling factor alone is right: the network computes the same.
private struct NormalizedLatents {
  private let json: JSONConfiguration
  private let mean, deviation: [Double]

  init(_ json: JSONConfiguration) throws(ConfigurationError) {
    self.json = json
    let channels = try json.integer("latent_channels", default: 4)
    let shift = try json.number("shift_factor", default: 0)
    func list(_ key: String, _ fallback: Double) throws(ConfigurationError) -> [Double] {
      guard json.has(key) else { return [Double](repeating: fallback, count: channels) }
      let numbers = try json.numbers(key)
      guard numbers.count == channels, numbers.allSatisfy(\.isFinite) else {
        throw .unsupported(json.file, key: key, value: "\(numbers.count) numbers", expected: "\(channels) finite ones")
      }
      return numbers
    }
    mean = try list("latents_mean", 0).map { $0 + shift }
    deviation = try list("latents_std", 1)
    guard deviation.allSatisfy({ $0 > 0 }) else {
      throw .unsupported(json.file, key: "latents_std", value: "\(deviation)", expected: "numbers above 0")
    }
  }

  private static let keys = ["latents_mean", "latents_std", "shift_factor"]

  func folded(into weights: any WeightSource) throws -> (JSONConfiguration, any WeightSource) {
    guard mean.contains(where: { $0 != 0 }) || deviation.contains(where: { $0 != 1 }) else { return (json, weights) }
    let count = mean.count
    func read(_ name: String, _ extents: Int) throws -> [Double] {
      guard weights.shape(of: name)?.reduce(1, *) == extents else {
        throw ParameterError.missing(
          weights.spelling(of: name), shape: Shape([extents]), file: weights.origin)
      }
      return try weights.floats(name).elements.map(Double.init)
    }
    // Decoder: W (std · z + mean) + b.
    var inputs = try read("post_quant_conv.weight", count * count)
    var inputBias = try read("post_quant_conv.bias", count)
    for row in 0..<count {
      for column in 0..<count {
        inputBias[row] += inputs[row * count + column] * mean[column]
        inputs[row * count + column] *= deviation[column]
      }
    }
    // Encoder: rows of means (W x + b − mean) / std, then rows of logarithms of variances.
    var outputs = try read("quant_conv.weight", 4 * count * count)
    var outputBias = try read("quant_conv.bias", 2 * count)
    for row in 0..<count {
      for column in 0..<2 * count { outputs[row * 2 * count + column] /= deviation[row] }
      outputBias[row] = (outputBias[row] - mean[row]) / deviation[row]
      outputBias[count + row] -= 2 * log(deviation[row])
    }
    let replaced = [
      "post_quant_conv.weight": inputs, "post_quant_conv.bias": inputBias, "quant_conv.weight": outputs,
      "quant_conv.bias": outputBias,
    ].mapValues { Buffer($0.map { Float($0) }) }
    let note = "latents of mean \(mean) and deviation \(deviation) folded in"
    let changes = Dictionary(uniqueKeysWithValues: Self.keys.map { ($0, StrictJSON?.none) })
    return (json.replacing(changes), ReplacedWeights(weights, replaced, note: note))
  }
}
