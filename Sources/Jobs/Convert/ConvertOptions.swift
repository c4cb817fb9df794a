package import CoreMLExport
package import MIL

/// What `sdtune convert` is asked for.
package struct ConvertOptions: Sendable {
  /// A part of a model, by the name that options give it.
  package enum Component: String, Sendable, CaseIterable {
    /// Both of them where there are two.
    case textEncoder = "text-encoder"
    case unet
    case vaeDecoder = "vae-decoder"
    case vaeEncoder = "vae-encoder"
  }

  package var components: [Component] = [.textEncoder, .unet, .vaeDecoder, .vaeEncoder]
  package var attention: ExportOptions.AttentionForm = .splitEinsum
  package var target: DeploymentTarget = .iOS16
  /// Latent pixels; the UNet's sample size if nil.
  package var latentHeight: Int?
  package var latentWidth: Int?
  /// Samples in a call of the UNet.
  package var batch = 2
  /// Bits of palettes; nil leaves weights in half precision.
  package var bits: Int?
  /// Components that palettes are for.
  package var palettized: Set<Component> = [.textEncoder, .unet]
  /// Another VAE's folder.
  package var customVAE: String?
  /// What file names and metadata call the model; the folder's name if nil.
  package var name: String?
  /// Whether to lay the packages out as Apple's Swift package looks for them.
  package var bundlesResources = false

  package init() {}

  func policy(for component: Component) -> PalettePolicy {
    guard let bits, palettized.contains(component) else { return .none }
    return PalettePolicy(bits: bits)
  }

  /// - Throws: when an option is out of range, or the target has no palettes of so many bits.
  func validate() throws(JobError) {
    if let bits, ![1, 2, 3, 4, 6, 8].contains(bits) {
      throw .option(name: "--quantize-nbits", expected: "1, 2, 3, 4, 6 or 8", found: "\(bits)")
    }
    if let bits, !target.paletteBits.contains(bits) {
      throw .option(
        name: "--target", expected: "iOS18 for \(bits)-bit palettes", found: target.rawValue)
    }
    guard (1...64).contains(batch) else {
      throw .option(name: "--batch", expected: "1 to 64", found: "\(batch)")
    }
    for (name, size) in [("--latent-h", latentHeight), ("--latent-w", latentWidth)] {
      guard size.map((1...1024).contains) ?? true else {
        throw .option(name: name, expected: "1 to 1024 latent pixels", found: "\(size ?? 0)")
      }
    }
    guard !components.isEmpty else {
      throw .option(name: "--components", expected: "at least one", found: "none")
    }
  }
}
