/// Why a network cannot become a package; each one line.
package enum ExportError: Error, CustomStringConvertible, Equatable {
  /// The latent size cannot be halved as often as the network does.
  case size(height: Int, width: Int, multiple: Int)
  /// The deployment target has no form for such a palette.
  case palette(weight: String, obstacle: String, target: String)
  /// Weights of another network.
  case missingWeight(String)
  /// More tokens than the text encoder has places for.
  case tokens(Int, longest: Int)
  /// The embedding of sizes and pooled text leaves nothing for the text.
  case pooledText(features: Int, timeIdentifiers: Int)
  /// An element that the package cannot hold.
  case value(weight: String, file: String, index: Int, value: Float, largest: Float)
  /// An operation without a lowering.
  case unsupportedOperation(String)

  package var description: String {
    switch self {
    case .size(let height, let width, let multiple):
      "latents of \(height)×\(width): height and width must be multiples of \(multiple) for this network"
    case .palette(let weight, let obstacle, let target):
      "weight '\(weight)' for \(target): \(obstacle); choose other bits or another export.target"
    case .missingWeight(let name): "weight '\(name)' is not among the weights to export"
    case .tokens(let tokens, let longest):
      "prompts of \(tokens) tokens: expected 1 to \(longest) for this text encoder"
    case .pooledText(let features, let timeIdentifiers):
      "projection_class_embeddings_input_dim of \(features): expected more than \(timeIdentifiers) time identifiers take"
    case .value(let weight, let file, let index, let value, let largest):
      "\(file): weight '\(weight)': element \(index) is \(value), expected a number of magnitude \(largest) at most"
    case .unsupportedOperation(let name): "operation '\(name)' has no Core ML form"
    }
  }
}
