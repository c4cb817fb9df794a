internal import CoreMLExport
internal import Foundation
internal import Generation
internal import Layers
internal import MIL
internal import Models
internal import StableDiffusion
internal import Tensors
internal import WeightFiles

/// What a model has to be converted: each component's network, weights and names.
struct ModelComponents {
  let model: ModelSource
  let options: ConvertOptions
  private let family: ModelFamily

  init(_ model: ModelSource, _ options: ConvertOptions) {
    self.model = model
    self.options = options
    family = model.family
  }

  /// What metadata call the model.
  private var modelName: String { options.name ?? model.name }

  /// What file names call it.
  var fileVersion: String { modelName.replacingOccurrences(of: "/", with: "_") }

  func parts(of component: ConvertOptions.Component) throws -> [ComponentPart] {
    switch component {
    case .textEncoder:
      // The first is asked for even if there is none, so that it is named.
      return try (model.textEncoders.isEmpty ? [.textEncoder] : model.textEncoders).map { try textEncoder($0) }
    case .unet: return [try unet()]
    case .vaeDecoder: return [try autoencoder("vae_decoder")]
    case .vaeEncoder: return [try autoencoder("vae_encoder")]
    case .safetyChecker: return [try safetyChecker()]
    case .controlNet: return try options.controlNets.map { try controlNet($0) }
    }
  }

  private func textEncoder(_ which: ModelPart) throws -> ComponentPart {
    let component = try model.component(which)
    let shapes = component.shapes()
    let network = try TracedNetwork.textEncoder(
      TextEncoderConfiguration(component.configuration), states: family == .base ? .last : .penultimate, source: shapes)
    try shapes.checkAllUsed()
    // Apple's layout holds one vocabulary for all encoders and nothing of what fills prompts up.
    let padding = try? model.tokenizerFiles(of: which).padding
    return part(
      which.rawValue, component, .init(component), network, attention: .original,
      described: padding.map { ["sdtune.pad_token": $0] } ?? [:])
  }

  /// - Throws: if a mixed-bit recipe names modules that the UNet does not have: it is another model's.
  func checkMixedBits() throws {
    guard let file = options.mixedBits else { return }
    let component = try model.component(.unet)
    let unknown = try options.policy(for: .unet).bits.keys.filter { component.weights.shape(of: $0) == nil }.sorted()
    guard let first = unknown.first else { return }
    throw JobError.unusable(
      file: file, expected: "modules of \(component.origin)",
      found: "\(unknown.count) that it does not have, first '\(first)'")
  }

  private func unet() throws -> ComponentPart {
    let component = try model.component(.unet)
    let configuration = try UNetConfiguration(component.configuration)
    let (height, width) = latentSize(configuration)
    let shapes = component.shapes()
    let network = try TracedNetwork.unet(
      configuration, batch: options.batch, height: height, width: width, tokens: model.tokenCount(),
      timeIdentifiers: configuration.timeIdentifierCount(pooled: model.pooledFeatures) ?? 6,
      controlled: options.supportsControlNet, source: shapes)
    try shapes.checkAllUsed()
    let name = family == .refiner ? "refiner" : options.supportsControlNet ? "control-unet" : "unet"
    var notes = [
      "com.github.apple.ml-stable-diffusion.version": "1.1.0",
      "sdtune.attention": options.attention.rawValue,
      "sdtune.prediction_type": try model.prediction(), "sdtune.latent_height": "\(height)",
      "sdtune.latent_width": "\(width)",
    ]
    if model.embedsGuidance {
      notes[ModelSource.embeddedGuidanceNote] = "\(model.additions.guidance ?? ModelSource.usualGuidance)"
    }
    return part(name, component, .init(component), network, described: notes)
  }

  private func autoencoder(_ name: String) throws -> ComponentPart {
    let component = try model.component(.vae)
    let configuration = try AutoencoderConfiguration(component.configuration)
    let (height, width, factor) = try pictureSize(configuration)
    // SDXL's own VAE overflows half precision; the configuration of one that was made to fit says so.
    let precision: ExportOptions.Precision = family != .base && configuration.needsSinglePrecision ? .single : .half
    let shapes = component.shapes()
    let decoder = try TracedNetwork.decoder(
      configuration, height: height / factor, width: width / factor, precision: precision,
      source: shapes)
    let encoder = try TracedNetwork.encoder(
      configuration, height: height, width: width, precision: precision, source: shapes)
    try shapes.checkAllUsed()
    let isDecoder = name == "vae_decoder"
    return part(
      name, component, .init(component, half: isDecoder ? "decoder" : "encoder"), isDecoder ? decoder : encoder,
      precision: precision,
      described: [
        "sdtune.scaling_factor": "\(configuration.scalingFactor)",
        "sdtune.image_height": "\(height)", "sdtune.image_width": "\(width)",
      ])
  }

  private func safetyChecker() throws -> ComponentPart {
    let component = try model.component(.safetyChecker)
    let (height, width, _) = try pictureSize(AutoencoderConfiguration(model.configuration(of: .vae)))
    let shapes = component.shapes(ignoring: ModelComponent.positionNumbers)
    let checker = try SafetyChecker(shapes, component.configuration) { component.weights.shape(of: $0).map(Shape.init) }
    try shapes.checkAllUsed()
    return part(
      "safety_checker", component, .init(component), .safetyChecker(checker, height: height, width: width),
      attention: .original)
  }

  private func controlNet(_ control: ConvertOptions.ControlNet) throws -> ComponentPart {
    let component = try ModelComponent(controlNet: control.folder)
    let shapes = component.shapes()
    let network = try component.controlNet(weights: shapes)
    try shapes.checkAllUsed()
    let unet = model.has(.unet) ? try model.unetConfiguration() : network.configuration
    let (height, width) = latentSize(unet)
    var metadata = metadata("controlnet", of: control.name)
    metadata.shortDescription =
      "ControlNet is a neural network structure to control diffusion models by adding extra conditions. "
      + "Please refer to https://arxiv.org/abs/2302.05543 for details."
    let name = control.name.replacingOccurrences(of: "/", with: "_")
    return ComponentPart(
      name: "controlnet", fileName: "ControlNet_\(name).mlpackage",
      resource: "controlnet/" + PackageBundle.controlNetResource(name), reference: .init(component),
      network: try .controlNet(
        network, batch: options.batch, height: height, width: width, tokens: model.tokenCount()),
      component: component, metadata: metadata)
  }

  // MARK: Sizes

  private func latentSize(_ unet: UNetConfiguration) -> (height: Int, width: Int) {
    (options.latentHeight ?? unet.sampleHeight, options.latentWidth ?? unet.sampleWidth)
  }

  /// Picture pixels, and how many of them a latent pixel is wide.
  private func pictureSize(
    _ vae: AutoencoderConfiguration
  ) throws -> (height: Int, width: Int, factor: Int) {
    let factor = 1 << (vae.blockChannels.count - 1)
    if model.has(.unet) {
      let (height, width) = latentSize(try model.unetConfiguration())
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
    _ name: String, _ component: ModelComponent, _ reference: RunTarget, _ network: TracedNetwork,
    precision: ExportOptions.Precision = .half, attention: ExportOptions.AttentionForm? = nil,
    described: [String: String] = [:]
  ) -> ComponentPart {
    var metadata = metadata(name, of: modelName)
    metadata.userDefined.merge(described) { $1 }
    return ComponentPart(
      name: name, fileName: "Stable_Diffusion_version_\(fileVersion)_\(name).mlpackage",
      resource: PackageBundle.resourceNames[name] ?? name, reference: reference, network: network,
      component: component, precision: precision, attention: attention, metadata: metadata)
  }

  private func metadata(_ part: String, of version: String) -> Metadata {
    var metadata = Metadata()
    metadata.shortDescription =
      "Stable Diffusion generates images conditioned on text \(part == "unet" ? "or" : "and/or") other images as "
      + "input through the diffusion process. Please refer to https://arxiv.org/abs/2112.10752 for details."
    metadata.author = "Please refer to the Model Card available at huggingface.co/\(version)"
    metadata.version = version
    metadata.license =
      family == .base
      ? "OpenRAIL (https://huggingface.co/spaces/CompVis/stable-diffusion-license)"
      : "OpenRAIL++-M "
        + "(https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md)"
    metadata.userDefined = [Metadata.componentKey: part]
    return metadata
  }
}
