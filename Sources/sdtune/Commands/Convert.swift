internal import ArgumentParser
internal import CoreMLExport
internal import Foundation
internal import Jobs
internal import MIL
internal import Models

/// `sdtune convert`: a model as Core ML packages.
struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a Stable Diffusion model in any form to Core ML packages.",
    discussion: """
      Features, shapes, types and file names are those of Apple's python_coreml_stable_diffusion. What an application \
      loads is made of each package with --compiled, or on a Mac: xcrun coremlcompiler compile PACKAGE FOLDER.
      """)

  @Option(
    help: "A Stable Diffusion model: a diffusers folder, a Hugging Face cache folder or a single file.",
    completion: .file())
  var model: String

  @OptionGroup var additions: ModelAdditionOptions

  @Option(
    help: """
      Of text-encoder, unet, vae-decoder, vae-encoder, safety-checker, controlnet; separated by commas.
      """)
  var components: ConvertComponents = .init([.textEncoder, .unet, .vaeDecoder, .vaeEncoder])

  @Option(
    help: "A ControlNet's folder, or NAME=FOLDER where files should call it otherwise; may be given several times.",
    completion: .directory)
  var controlnet: [ControlNetArgument] = []

  @Option(help: "original, split-einsum or split-einsum-v2.")
  var attention: ExportOptions.AttentionForm = .splitEinsum

  @Option(help: "iOS16, iOS17, iOS18 or iOS26.")
  var target: DeploymentTarget = .iOS16

  @Option(help: "Bits of post-training palettes: 1, 2, 3, 4, 6 or 8 (default: half precision).")
  var quantizeNbits: Int?

  @Option(help: "Neighbouring output channels that share a palette (default: one palette a weight); needs iOS18.")
  var paletteGroup: Int?

  @Option(help: "Weights that one palette index stands for: 1, 2 or 4; more than 1 needs iOS18 (default: 1).")
  var paletteVector: Int?

  @Flag(help: "Palettes of 8-bit numbers; needs iOS18.")
  var paletteInt8 = false

  @Flag(help: "A factor for each output channel; needs iOS18.")
  var channelScale = false

  @Option(help: "Bits for each module of the UNet: a mixed-bit recipe as Apple's tools and sdtune analyze write it.")
  var mixedBitRecipe: String?

  @Option(help: "Which of the recipe's choices.")
  var selectedRecipe: String?

  @Option(
    help: "Components that --quantize-nbits is for, separated by commas (default: text-encoder,unet,controlnet).")
  var quantizeComponents: ConvertComponents?

  @Option(help: "Height of the latents in pixels (default: the UNet's sample size).")
  var latentH: Int?

  @Option(help: "Width of the latents in pixels (default: the UNet's sample size).")
  var latentW: Int?

  @Option(
    help: """
      Latent sizes, HEIGHTxWIDTH separated by commas: one package with a function size_HEIGHTxWIDTH for each, which share \
      their weights; needs iOS18.
      """)
  var sizes: LatentSizes?

  @Option(
    name: .customLong("function"),
    help: """
      NAME=LORA or NAME=LORA:STRENGTH: a function of UNet and text encoders with the LoRA, beside main without it; \
      repeatable; needs iOS18.
      """)
  var functions: [AdaptedFunctionArgument] = []

  @Flag(help: "One sample in a call of the UNet; two otherwise, for guidance in one call.")
  var unetBatchOne = false

  @Flag(help: "A UNet that takes what ControlNets add.")
  var unetSupportControlnet = false

  @Flag(help: "Also write the UNet in two packages of about as many stored bytes.")
  var chunkUnet = false

  @Option(help: "Another VAE's folder.", completion: .directory)
  var customVae: String?

  @Option(help: "What file names and metadata call the model (default: the folder's name).")
  var modelVersion: String?

  @Flag(help: "Run every package and the model on the same random inputs, and say how far they are apart.")
  var checkOutputCorrectness = false

  @Flag(help: "Also lay packages and tokenizer out in OUTPUT/Resources with the names of Apple's Swift package.")
  var bundleResourcesForSwiftCli = false

  @Flag(help: "Lay packages out as Apple's repositories on the hub: OUTPUT/split_einsum/packages and so on.")
  var hubLayout = false

  @Flag(
    help: """
      Also compile the packages: in Resources, in the hub layout's compiled folder, or beside each package.
      """)
  var compiled = false

  @Flag(help: "Also pack the compiled models as an archive that applications download.")
  var zip = false

  @Option(help: "The folder to write to; packages in it that are up to date are kept.")
  var output: String

  @OptionGroup var options: OutputOptions

  /// No option is passed over in silence.
  func validate() throws {
    let palettes = [
      ("--palette-group", paletteGroup != nil), ("--palette-vector", paletteVector != nil),
      ("--palette-int8", paletteInt8), ("--channel-scale", channelScale),
      ("--quantize-components", quantizeComponents != nil),
    ]
    try require("--quantize-nbits", quantizeNbits != nil, for: palettes)
    try require("--mixed-bit-recipe", mixedBitRecipe != nil, for: [("--selected-recipe", selectedRecipe != nil)])
    try require(
      "--compiled with --hub-layout or --bundle-resources-for-swift-cli",
      compiled && (hubLayout || bundleResourcesForSwiftCli), for: [("--zip", zip)])
    let written = Set(components.list)
    let unet = [
      ("--chunk-unet", chunkUnet), ("--unet-support-controlnet", unetSupportControlnet),
      ("--mixed-bit-recipe", mixedBitRecipe != nil),
    ]
    try require("unet among --components", written.contains(.unet), for: unet)
    let made = controlnet.isEmpty ? written : written.union([.controlNet])
    try require(
      "unet or controlnet among --components", !made.isDisjoint(with: [.unet, .controlNet]),
      for: [("--unet-batch-one", unetBatchOne)])
    try require(
      "unet among --quantize-components", quantizeComponents?.list.contains(.unet) ?? true,
      for: [("--mixed-bit-recipe", mixedBitRecipe != nil)])
    if let missing = quantizeComponents?.list.first(where: { !made.contains($0) }) {
      throw ValidationError(
        "--quantize-components: expected components that are written, found '\(missing.rawValue)'")
    }
    let usual = ConvertOptions().palettized
    try require(
      "one of \(usual.map(\.rawValue).sorted().joined(separator: ", ")) among --components, or --quantize-components",
      quantizeComponents != nil || !made.isDisjoint(with: usual), for: [("--quantize-nbits", quantizeNbits != nil)])
    try require(
      "another component than text-encoder", made != [.textEncoder],
      for: [("--latent-h", latentH != nil), ("--latent-w", latentW != nil)])
    try require(
      "one of --sizes, --function, --latent-h with --latent-w, and --chunk-unet",
      [sizes != nil, !functions.isEmpty, latentH != nil || latentW != nil, chunkUnet].count { $0 } < 2,
      for: [("--sizes", sizes != nil), ("--function", !functions.isEmpty)])
    let names = controlnet.map(\.value.name)
    if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw ValidationError("--controlnet: expected a name for each, such as other=FOLDER, found '\(twice)' twice")
    }
    try require(
      "vae-decoder or vae-encoder among --components", !written.isDisjoint(with: [.vaeDecoder, .vaeEncoder]),
      for: [("--custom-vae", customVae != nil)])
  }

  /// `--custom-vae` is Apple's name of `--vae`.
  private func allAdditions() throws -> ModelAdditions {
    var additions = additions.additions
    guard let customVae else { return additions }
    guard additions.vae == nil else { throw ValidationError("--custom-vae: expected it or --vae, found both") }
    additions.vae = customVae
    return additions
  }

  func run() throws {
    var wishes = ConvertOptions()
    wishes.components = components.list
    wishes.controlNets = controlnet.map(\.value)
    wishes.attention = attention
    wishes.target = target
    wishes.bits = quantizeNbits
    wishes.groupSize = paletteGroup
    wishes.vector = paletteVector ?? 1
    wishes.int8Entries = paletteInt8
    wishes.channelScale = channelScale
    wishes.mixedBits = mixedBitRecipe
    wishes.mixedBitsChoice = selectedRecipe
    wishes.supportsControlNet = unetSupportControlnet
    wishes.chunksUNet = chunkUnet
    if let quantizeComponents { wishes.palettized = Set(quantizeComponents.list) }
    wishes.latentHeight = latentH
    wishes.latentWidth = latentW
    wishes.sizes = sizes?.list ?? []
    wishes.functions = functions.map(\.value)
    wishes.batch = unetBatchOne ? 1 : 2
    wishes.name = modelVersion
    wishes.checksOutputs = checkOutputCorrectness
    wishes.bundlesResources = bundleResourcesForSwiftCli
    wishes.usesHubLayout = hubLayout
    wishes.compiles = compiled
    wishes.zips = zip
    let job = try ConvertJob(model: ModelSource(model, try allAdditions()), options: wishes, output: output)
    let result = try job { Terminal.note($0) }
    try options.show(result, text: result.text)
  }
}

/// Components by their names, separated by commas.
struct ConvertComponents: ExpressibleByArgument {
  let list: [ConvertOptions.Component]

  init(_ list: [ConvertOptions.Component]) { self.list = list }

  init?(argument: String) {
    let names = argument.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    let known = names.compactMap { ConvertOptions.Component(rawValue: $0) }
    guard known.count == names.count, !known.isEmpty else { return nil }
    list = known
  }

  var defaultValueDescription: String { list.map(\.rawValue).joined(separator: ",") }
}

/// `HEIGHTxWIDTH`, separated by commas.
struct LatentSizes: ExpressibleByArgument {
  let list: [ConvertOptions.LatentSize]

  init?(argument: String) {
    let sizes = argument.split(separator: ",").compactMap { text -> ConvertOptions.LatentSize? in
      let numbers = text.trimmingCharacters(in: .whitespaces).split(separator: "x").map { Int($0) }
      guard numbers.count == 2, let height = numbers[0], let width = numbers[1] else { return nil }
      return ConvertOptions.LatentSize(height: height, width: width)
    }
    guard sizes.count == argument.split(separator: ",").count, !sizes.isEmpty else { return nil }
    list = sizes
  }
}

/// `NAME=LORA` or `NAME=LORA:STRENGTH`.
struct AdaptedFunctionArgument: ExpressibleByArgument {
  let value: ConvertOptions.AdaptedFunction

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { return nil }
    value = ConvertOptions.AdaptedFunction(name: parts[0], adapter: ModelAdditions.Adapter(parts[1]))
  }
}

/// `FOLDER` or `NAME=FOLDER`.
struct ControlNetArgument: ExpressibleByArgument {
  let value: ConvertOptions.ControlNet

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard let folder = parts.last else { return nil }
    value = ConvertOptions.ControlNet(folder: folder, name: parts.count > 1 ? parts[0] : nil)
  }
}

extension ExportOptions.AttentionForm: ExpressibleByArgument {}
extension DeploymentTarget: ExpressibleByArgument {}
