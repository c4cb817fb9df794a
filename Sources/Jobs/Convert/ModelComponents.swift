internal import Checkpoints
internal import CoreMLExport
internal import Foundation
internal import Layers
internal import MIL
internal import StableDiffusion
internal import Tensors

/// What a model's folder has to be converted: each component's network, weights and names.
struct ModelComponents {
  let model: ModelFolder
  let options: ConvertOptions

  init(_ model: ModelFolder, _ options: ConvertOptions) {
    self.model = model
    self.options = options
  }

  func parts(of component: ConvertOptions.Component) throws -> [ComponentPart] {
    switch component {
    case .textEncoder:
      let names = ["text_encoder", "text_encoder_2"].filter { model.has($0) }
      guard !names.isEmpty else {
        _ = try model.component("text_encoder")
        return []
      }
      return try names.map { try textEncoder($0) }
    case .unet: return [try unet()]
    case .vaeDecoder: return [try autoencoder("vae_decoder")]
    case .vaeEncoder: return [try autoencoder("vae_encoder")]
    case .safetyChecker: return [try safetyChecker()]
    case .controlNet: return try options.controlNets.map { try controlNet($0) }
    }
  }

  private func textEncoder(_ name: String) throws -> ComponentPart {
    let folder = try model.component(name)
    let weights = try WeightFolder(path: folder)
    let shapes = weights.shapes(ignoring: ["embeddings.position_ids"])
    let network = try TracedNetwork.textEncoder(
      TextEncoderConfiguration(folder: folder), states: model.family == .base ? .last : .penultimate,
      source: shapes)
    try shapes.checkAllUsed()
    return part(name, folder, network, weights, attention: .original)
  }

  /// - Throws: if a mixed-bit recipe names modules that the UNet does not have: it is another model's.
  func checkMixedBits() throws {
    guard let file = options.mixedBits else { return }
    let folder = try model.component("unet")
    let weights = try WeightFolder(path: folder)
    let unknown = try options.policy(for: .unet).bits.keys.filter { weights.shape(of: $0) == nil }.sorted()
    guard let first = unknown.first else { return }
    throw JobError.unusable(
      file: file, expected: "modules of \(folder)", found: "\(unknown.count) that it does not have, first '\(first)'")
  }

  private func unet() throws -> ComponentPart {
    let folder = try model.component("unet")
    let configuration = try UNetConfiguration(folder: folder)
    let (height, width) = latentSize(configuration)
    let weights = try WeightFolder(path: folder)
    let shapes = weights.shapes()
    let network = try TracedNetwork.unet(
      configuration, batch: options.batch, height: height, width: width, tokens: model.tokens(),
      timeIdentifiers: model.family == .refiner ? 5 : 6, controlled: options.supportsControlNet,
      source: shapes)
    try shapes.checkAllUsed()
    let name =
      model.family == .refiner ? "refiner" : options.supportsControlNet ? "control-unet" : "unet"
    return part(
      name, folder, network, weights,
      described: [
        "com.github.apple.ml-stable-diffusion.version": "1.1.0",
        "sdtune.attention": options.attention.rawValue,
        "sdtune.prediction_type": try model.prediction(), "sdtune.latent_height": "\(height)",
        "sdtune.latent_width": "\(width)",
      ])
  }

  private func autoencoder(_ name: String) throws -> ComponentPart {
    let folder = try vaeFolder()
    let configuration = try AutoencoderConfiguration(folder: folder)
    let (height, width, factor) = try pictureSize(configuration)
    // SDXL's own VAE overflows half precision; one that was made to fit replaces it.
    let precision: ExportOptions.Precision =
      model.family != .base && options.customVAE == nil && configuration.needsSinglePrecision
      ? .single : .half
    let weights = try WeightFolder(path: folder)
    let shapes = weights.shapes()
    let decoder = try TracedNetwork.decoder(
      configuration, height: height / factor, width: width / factor, precision: precision,
      source: shapes)
    let encoder = try TracedNetwork.encoder(
      configuration, height: height, width: width, precision: precision, source: shapes)
    try shapes.checkAllUsed()
    let isDecoder = name == "vae_decoder"
    return part(
      name, folder + (isDecoder ? "#decoder" : "#encoder"), isDecoder ? decoder : encoder, weights,
      precision: precision,
      described: [
        "sdtune.scaling_factor": "\(configuration.scalingFactor)",
        "sdtune.image_height": "\(height)", "sdtune.image_width": "\(width)",
      ])
  }

  private func safetyChecker() throws -> ComponentPart {
    let folder = try model.component("safety_checker")
    let (height, width, _) = try pictureSize(AutoencoderConfiguration(folder: vaeFolder()))
    let weights = try WeightFolder(path: folder)
    let shapes = weights.shapes(ignoring: ["embeddings.position_ids"])
    let checker = try SafetyChecker(shapes, folder: folder) { weights.shape(of: $0).map(Shape.init) }
    try shapes.checkAllUsed()
    return part(
      "safety_checker", folder, .safetyChecker(checker, height: height, width: width), weights,
      attention: .original)
  }

  private func controlNet(_ control: ConvertOptions.ControlNet) throws -> ComponentPart {
    let weights = try WeightFolder(path: control.folder)
    let shapes = weights.shapes()
    let network = try DiffusersFolder.controlNet(control.folder, weights: shapes)
    try shapes.checkAllUsed()
    let unet =
      model.has("unet")
      ? try UNetConfiguration(folder: model.component("unet")) : network.configuration
    let (height, width) = latentSize(unet)
    var metadata = metadata("controlnet", of: control.name)
    metadata.shortDescription =
      "ControlNet is a neural network structure to control diffusion models by adding extra conditions. "
      + "Please refer to https://arxiv.org/abs/2302.05543 for details."
    let name = control.name.replacingOccurrences(of: "/", with: "_")
    return ComponentPart(
      name: "controlnet", fileName: "ControlNet_\(name).mlpackage",
      resource: "controlnet/" + PackageBundle.controlNetResource(name), reference: control.folder,
      network: try .controlNet(
        network, batch: options.batch, height: height, width: width, tokens: model.tokens()),
      weights: weights, metadata: metadata)
  }

  // MARK: Sizes

  private func latentSize(_ unet: UNetConfiguration) -> (height: Int, width: Int) {
    (options.latentHeight ?? unet.sampleSize, options.latentWidth ?? unet.sampleSize)
  }

  private func vaeFolder() throws -> String { try options.customVAE ?? model.component("vae") }

  /// Picture pixels, and how many of them a latent pixel is wide.
  private func pictureSize(
    _ vae: AutoencoderConfiguration
  ) throws -> (height: Int, width: Int, factor: Int) {
    let factor = 1 << (vae.blockChannels.count - 1)
    if model.has("unet") {
      let (height, width) = latentSize(try UNetConfiguration(folder: model.component("unet")))
      return (height * factor, width * factor, factor)
    }
    let own = vae.sampleSize.map { $0 / factor }
    guard let height = options.latentHeight ?? own, let width = options.latentWidth ?? own else {
      throw JobError.option(
        name: "--latent-h, --latent-w", expected: "latent pixels, as the model has no UNet to ask",
        found: "none")
    }
    return (height * factor, width * factor, factor)
  }

  // MARK: Names

  private func part(
    _ name: String, _ reference: String, _ network: TracedNetwork, _ weights: WeightFolder,
    precision: ExportOptions.Precision = .half, attention: ExportOptions.AttentionForm? = nil,
    described: [String: String] = [:]
  ) -> ComponentPart {
    let version = model.name.replacingOccurrences(of: "/", with: "_")
    var metadata = metadata(name, of: model.name)
    metadata.userDefined.merge(described) { $1 }
    return ComponentPart(
      name: name, fileName: "Stable_Diffusion_version_\(version)_\(name).mlpackage",
      resource: PackageBundle.resourceNames[name] ?? name, reference: reference, network: network,
      weights: weights, precision: precision, attention: attention, metadata: metadata)
  }

  private func metadata(_ part: String, of version: String) -> Metadata {
    var metadata = Metadata()
    metadata.shortDescription =
      "Stable Diffusion generates images conditioned on text \(part == "unet" ? "or" : "and/or") other images as "
      + "input through the diffusion process. Please refer to https://arxiv.org/abs/2112.10752 for details."
    metadata.author = "Please refer to the Model Card available at huggingface.co/\(version)"
    metadata.version = version
    metadata.license =
      model.family == .base
      ? "OpenRAIL (https://huggingface.co/spaces/CompVis/stable-diffusion-license)"
      : "OpenRAIL++-M "
        + "(https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md)"
    metadata.userDefined = [Metadata.componentKey: part]
    return metadata
  }
}
