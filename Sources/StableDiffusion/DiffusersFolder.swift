package import Checkpoints
internal import Foundation
internal import Kernels
package import Layers
internal import Tensors

/// A Stable Diffusion model in diffusers' folder layout, or one component of it.
package enum DiffusersFolder {
  /// The weights of a component folder, widened to 32 bits: small ones now, large ones whenever they are used.
  ///
  /// - Parameter ignoring: suffixes of names that are no weights of the model, such as `position_ids`.
  package static func weights(
    _ folder: String, ignoring: [String] = []
  ) throws(CheckpointError) -> ParameterStore {
    let files = try WeightFolder(path: folder)
    var weights: NamedArrays = [:]
    var stored: [String: (shape: Shape, read: @Sendable () -> WeightElements)] = [:]
    for name in files.names where !ignoring.contains(where: { name.hasSuffix($0) }) {
      let shape = Shape(files.shape(of: name) ?? [])
      guard shape.count >= storedSize, files.elementType(of: name)?.isFloat ?? false else {
        weights[name] = (shape, try files.floats(name))
        continue
      }
      stored[name] = (
        shape,
        {
          // The header was checked when the file was opened, and floats were asked for above.
          guard let elements = try? files.elements(name) else { preconditionFailure("\(folder): \(name)") }
          return elements
        }
      )
    }
    return ParameterStore(weights, stored: stored, origin: folder)
  }

  /// Weights of at least so many elements stay in the file, in its precision, and are widened for every use: that costs
  /// a hundredth of the product they go into, and a full-size model takes no memory of its own.
  private static let storedSize = 1 << 18

  /// What a component folder holds: diffusers' `_class_name` or the first of transformers' `architectures`.
  package static func componentClass(_ folder: String) throws(ConfigurationError) -> String {
    let json = try JSONConfiguration(file: folder + "/config.json")
    if json.has("_class_name") { return try json.string("_class_name") }
    guard let name = try json.strings("architectures").first else {
      throw .missing(json.file, key: "_class_name")
    }
    return name
  }

  /// The UNet in `folder`, which holds `config.json` and the weights.
  ///
  /// - Throws: ``ConfigurationError``, ``ParameterError`` or a `CheckpointError`: a missing, misshapen or never-used
  ///   weight is named.
  package static func unet(_ folder: String) throws -> (model: UNet, store: ParameterStore) {
    let configuration = try UNetConfiguration(folder: folder)
    let store = try weights(folder)
    let model = try UNet(store, configuration)
    try store.checkAllUsed()
    return (model, store)
  }

  /// The ControlNet in `folder`.
  package static func controlNet(_ folder: String) throws -> ControlNet {
    let store = try weights(folder)
    let model = try controlNet(folder, weights: store)
    try store.checkAllUsed()
    return model
  }

  /// The ControlNet that the configuration in `folder` describes, with other weights.
  package static func controlNet(
    _ folder: String, weights: any ParameterSource
  ) throws -> ControlNet {
    let configuration = try UNetConfiguration(controlNetFolder: folder)
    let json = try JSONConfiguration(file: folder + "/config.json")
    let channels =
      json.has("conditioning_embedding_out_channels")
      ? try json.integers("conditioning_embedding_out_channels") : [16, 32, 96, 256]
    return try ControlNet(weights, configuration, pictureChannels: channels)
  }

  /// The safety checker in `folder`.
  package static func safetyChecker(_ folder: String) throws -> SafetyChecker {
    let store = try weights(folder, ignoring: ["embeddings.position_ids"])
    let model = try SafetyChecker(store, folder: folder) { store.shape(of: $0) }
    try store.checkAllUsed()
    return model
  }

  /// The CLIP text encoder in `folder`.
  package static func textEncoder(
    _ folder: String
  ) throws -> (model: TextEncoder, store: ParameterStore) {
    let configuration = try TextEncoderConfiguration(folder: folder)
    let store = try weights(folder, ignoring: ["embeddings.position_ids"])
    let model = try TextEncoder(store, configuration)
    try store.checkAllUsed()
    return (model, store)
  }

  /// Both halves of the VAE in `folder`.
  package static func autoencoder(
    _ folder: String
  ) throws -> (encoder: AutoencoderEncoder, decoder: AutoencoderDecoder) {
    let configuration = try AutoencoderConfiguration(folder: folder)
    let store = try weights(folder)
    let encoder = try AutoencoderEncoder(store, configuration)
    let decoder = try AutoencoderDecoder(store, configuration)
    try store.checkAllUsed()
    return (encoder, decoder)
  }
}
