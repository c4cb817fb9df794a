internal import Digests
internal import Foundation
internal import Kernels
package import Models
package import Pictures
package import StableDiffusion
internal import StrictJSON
package import Tensors
internal import WeightFiles

/// A model's VAE as pictures meet it: its identity, its geometry, and the encoder.
package struct PictureEncoder: Sendable {
  package let configuration: AutoencoderConfiguration
  /// SHA-256 of its configuration and weights, in hexadecimal.
  package let identity: String
  private let encoder: AutoencoderEncoder

  /// Pixels of a latent pixel's side.
  package var magnification: Int { configuration.magnification }

  package init(_ model: ModelSource) throws { try self.init(model.component(.vae)) }

  /// - Parameter component: a VAE.
  package init(_ component: ModelComponent) throws {
    encoder = try component.autoencoder().encoder
    configuration = encoder.configuration
    guard configuration.imageChannels == 3 else {
      throw TrainingError.mismatch(
        what: "\(component.origin): in_channels", expected: "3, red, green and blue",
        found: "\(configuration.imageChannels)")
    }
    identity = try Self.identity(component)
  }

  /// See ``identity``.
  package static func identity(_ model: ModelSource) throws -> String { try identity(model.component(.vae)) }

  private static func identity(_ component: ModelComponent) throws -> String {
    var hash = SHA256()
    let file = component.configuration.file
    if FileManager.default.fileExists(atPath: file) {
      try hash.update(fileAt: file)
    } else {
      hash.update(Array(component.configuration.json.text.utf8))
    }
    for file in component.weights.files.sorted() { try hash.update(fileAt: file) }
    for note in component.weights.notes { hash.update(Array(note.utf8)) }
    return hash.finish()
  }

  /// Mean and standard deviation of the latents that a picture may stand for, without the VAE's scaling factor.
  ///
  /// One picture in a call, so that the bits do not depend on what is encoded beside it.
  ///
  /// - Returns: `[channels, height, width]` each; known to diffusers as `latent_dist.mean` and `.std`.
  package func callAsFunction(_ picture: Picture) -> (mean: Tensor, deviation: Tensor) {
    let moments = Execution.withoutGradients {
      encoder(picture.pixels).channelsFirst()
    }
    let axes = [moments.shape[1] / 2, moments.shape[2], moments.shape[3]]
    let count = axes.reduce(1, *)
    let elements = moments.elements
    let deviation = elements[count...].map { exp(min(max($0, -30), 20) / 2) }
    return (Tensor(Shape(axes), Array(elements[..<count])), Tensor(Shape(axes), deviation))
  }

  /// Several pictures, small ones side by side on all cores.
  package func callAsFunction(_ pictures: [Picture]) -> [(mean: Tensor, deviation: Tensor)] {
    // A large picture has work for all cores, and its activations take half a gigabyte.
    let areSmall = pictures.allSatisfy { $0.width * $0.height <= 128 * 128 }
    return areSmall ? Parallel.map(pictures.count) { self(pictures[$0]) } : pictures.map { self($0) }
  }
}
