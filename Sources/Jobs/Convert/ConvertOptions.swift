internal import Clustering
package import CoreMLExport
internal import Foundation
package import MIL
package import Models
internal import Recipes

/// What `sdtune convert` is asked for.
package struct ConvertOptions: Sendable {
  /// A part of a model, by the name that options give it.
  package enum Component: String, Sendable, CaseIterable {
    /// Both of them where there are two.
    case textEncoder = "text-encoder"
    case unet
    case vaeDecoder = "vae-decoder"
    case vaeEncoder = "vae-encoder"
    case safetyChecker = "safety-checker"
    /// All that ``ConvertOptions/controlNets`` names.
    case controlNet = "controlnet"
  }

  /// A ControlNet beside the model.
  package struct ControlNet: Sendable {
    /// In diffusers' layout.
    package let folder: String
    /// What file names and metadata call it.
    package let name: String

    /// - Parameter name: the folder's own if nil.
    package init(folder: String, name: String? = nil) {
      self.folder = folder
      self.name = name ?? URL(filePath: folder).standardizedFileURL.lastPathComponent
    }
  }

  package var components: [Component] = [.textEncoder, .unet, .vaeDecoder, .vaeEncoder]
  package var controlNets: [ControlNet] = []
  package var attention: ExportOptions.AttentionForm = .splitEinsum
  package var target: DeploymentTarget = .iOS16
  /// Latent pixels; the UNet's sample size if nil.
  package var latentHeight: Int?
  package var latentWidth: Int?
  /// Latent sizes, each of which becomes a function of the packages; empty for the one size.
  package var sizes: [LatentSize] = []
  /// Adapters, each of which becomes a function beside the model's own.
  package var functions: [AdaptedFunction] = []
  /// Samples in a call of the UNet.
  package var batch = 2
  /// Bits of palettes; nil leaves weights in half precision.
  package var bits: Int?
  /// Neighbouring output channels that share a palette; nil for one palette a weight.
  package var groupSize: Int?
  /// Weights of consecutive output channels that one index stands for.
  package var vector = 1
  /// Whether palettes hold 8-bit numbers and channels have factors of their own.
  package var int8Entries = false
  package var channelScale = false
  /// Bits for single weights of the UNet, as Apple's mixed-bit recipes have them: a file and, if it holds several, which.
  package var mixedBits: String?
  package var mixedBitsChoice: String?
  /// Components that palettes are for.
  package var palettized: Set<Component> = [.textEncoder, .unet, .controlNet]
  /// What file names and metadata call the model; the folder's name if nil.
  package var name: String?
  /// Whether the UNet takes what ControlNets add.
  package var supportsControlNet = false
  /// Whether to write the UNet in two halves of as many stored bytes too.
  package var chunksUNet = false
  /// Whether to run every package and compare it with the model.
  package var checksOutputs = false
  /// Whether to lay the packages out as Apple's Swift package looks for them.
  package var bundlesResources = false
  /// Whether the folders are those of Apple's repositories on the hub.
  package var usesHubLayout = false
  /// Whether packages are compiled too.
  package var compiles = false
  /// Whether the folder of compiled models is packed as an archive.
  package var zips = false

  package struct LatentSize: Sendable, Hashable {
    package let height, width: Int

    package init(height: Int, width: Int) { (self.height, self.width) = (height, width) }
  }

  package struct AdaptedFunction: Sendable {
    package let name: String
    package let adapter: ModelAdditions.Adapter

    package init(name: String, adapter: ModelAdditions.Adapter) { (self.name, self.adapter) = (name, adapter) }
  }

  package init() {}

  /// Whether a folder is written that applications take, which hold a tokenizer.
  var needsTokenizer: Bool { bundlesResources || usesHubLayout }

  /// ControlNets need not be named twice.
  var allComponents: [Component] {
    controlNets.isEmpty || components.contains(.controlNet) ? components : components + [.controlNet]
  }

  func policy(for component: Component) throws -> PalettePolicy {
    guard palettized.contains(component), bits != nil || mixedBits != nil else {
      return PalettePolicy(nil)
    }
    let form = PaletteForm(
      bits: bits ?? 16, groupSize: groupSize, vector: vector, channelScale: channelScale,
      entries: int8Entries ? .int8 : .half)
    guard let mixedBits, component == .unet else { return PalettePolicy(bits == nil ? nil : form) }
    return PalettePolicy(form, bits: try AppleMixedBitRecipe.bits(mixedBitsChoice, file: mixedBits))
  }

  /// Whether only iOS 18's constants can hold the palettes.
  private var needsGroupedPalettes: Bool {
    groupSize != nil || vector > 1 || int8Entries || channelScale
  }

  /// - Throws: when an option is out of range, or the target has no palettes of so many bits.
  func validate() throws(JobError) {
    if let bits, !PaletteRecipe.supportedBits.contains(bits) {
      throw .option(name: "--quantize-nbits", expected: "1, 2, 3, 4, 6 or 8", found: "\(bits)")
    }
    if let bits, !target.paletteBits.contains(bits) {
      throw .option(
        name: "--target", expected: "iOS18 for \(bits)-bit palettes", found: target.rawValue)
    }
    if needsGroupedPalettes, !target.hasGroupedPalettes {
      throw .option(
        name: "--target", expected: "iOS18 for palettes by group, vectors, 8-bit entries and scales",
        found: target.rawValue)
    }
    guard [1, 2, 4].contains(vector) else {
      throw .option(name: "--palette-vector", expected: "1, 2 or 4", found: "\(vector)")
    }
    guard groupSize.map({ $0 > 0 && $0 % vector == 0 }) ?? true else {
      throw .option(
        name: "--palette-group", expected: "channels, a multiple of \(vector)", found: "\(groupSize ?? 0)")
    }
    guard (1...64).contains(batch) else {
      throw .option(name: "--batch", expected: "1 to 64", found: "\(batch)")
    }
    for (name, size) in [("--latent-h", latentHeight), ("--latent-w", latentWidth)] {
      guard size.map((1...1024).contains) ?? true else {
        throw .option(name: name, expected: "1 to 1024 latent pixels", found: "\(size ?? 0)")
      }
    }
    if let size = sizes.first(where: { !(1...1024).contains($0.height) || !(1...1024).contains($0.width) }) {
      throw .option(name: "--sizes", expected: "1 to 1024 latent pixels", found: "\(size.height)x\(size.width)")
    }
    guard Set(sizes).count == sizes.count else {
      throw .option(name: "--sizes", expected: "different sizes", found: "one twice")
    }
    let names = functions.map(\.name)
    let isNamed = names.allSatisfy { $0 == ProgramBuilder.identifier($0) && $0 != ComponentPart.onlyFunction }
    guard isNamed, Set(names).count == names.count else {
      throw .option(
        name: "--function", expected: "different names of letters, digits and underscores, none of them 'main'",
        found: names.joined(separator: ", "))
    }
    if !sizes.isEmpty || !functions.isEmpty, !target.hasGroupedPalettes {
      throw .option(name: "--target", expected: "iOS18 for packages of several functions", found: target.rawValue)
    }
    guard !components.contains(.controlNet) || !controlNets.isEmpty else {
      throw .option(name: "--controlnet", expected: "a ControlNet's folder", found: "none")
    }
    guard !components.isEmpty else {
      throw .option(name: "--components", expected: "at least one", found: "none")
    }
  }
}
