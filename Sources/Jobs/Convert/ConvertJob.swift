internal import Checkpoints
internal import CoreMLExport
internal import Foundation
internal import Layers
internal import MIL
internal import StableDiffusion
internal import Tensors

/// A diffusers folder as Core ML packages, with the names, features and metadata of Apple's converter.
package struct ConvertJob: Sendable {
  /// What was written.
  package struct Outcome: Codable, Sendable {
    package let packages: [Package]
    /// Files of the `Resources` folder, if there is one.
    package let resources: [String]
    /// What remains to be done on a Mac, a line for each package.
    package let compile: [String]

    package var text: String {
      let lines = packages.flatMap { package in
        [
          String(
            format: "%@: %.3f bits a weight, %d bytes, %.1f s", package.path as NSString,
            package.bitsPerWeight, package.bytes, package.seconds)
        ]
          + package.checks.map {
            String(
              format: "  %@: PSNR %.1f dB (Apple's formula: %.1f dB)", $0.output as NSString, $0.psnr,
              $0.applePSNR)
          }
      }
      return (lines + ["on a Mac:"] + compile.map { "  " + $0 }).joined(separator: "\n")
    }
  }

  /// One package that was written.
  package struct Package: Codable, Sendable {
    package let component: String
    package let path: String
    /// Of the whole package.
    package let bytes: Int
    package let bitsPerWeight: Double
    package let seconds: Double
    /// One for each output, if they were asked for.
    package internal(set) var checks: [Check] = []
  }

  /// How far a package's output is from the model's.
  package struct Check: Codable, Sendable {
    package let output: String
    /// In dB, peak of the model's output.
    package let psnr: Double
    /// By the formula of Apple's converter, whose peak is that of the package's output.
    package let applePSNR: Double
  }

  private let model: ModelFolder
  private let options: ConvertOptions
  private let output: String

  package init(model: String, options: ConvertOptions, output: String) throws {
    try options.validate()
    self.model = try ModelFolder(model, name: options.name)
    self.options = options
    self.output = output
  }

  /// - Parameter stage: told what is being written.
  package func callAsFunction(stage: (String) -> Void) throws -> Outcome {
    try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    var packages: [Package] = []
    for component in options.components {
      for part in try parts(of: component) {
        let path = "\(output)/\(part.fileName)"
        stage("writing \(path)")
        var package = try write(part, component, to: path)
        if options.checksOutputs { package.checks = try checks(package, component) }
        packages.append(package)
        if component == .unet, options.chunksUNet { packages += try chunks(of: package) }
      }
    }
    return try outcome(packages)
  }

  private func outcome(_ packages: [Package]) throws -> Outcome {
    guard options.bundlesResources else {
      return Outcome(
        packages: packages, resources: [],
        compile: packages.map { PackageBundle.compileCommand($0.path, into: output) })
    }
    let folder = output + "/Resources"
    let resources = try PackageBundle.write(
      packages, tokenizer: model.path + "/tokenizer", to: folder)
    let compile = resources.filter { $0.hasSuffix(".mlpackage") }.map {
      PackageBundle.compileCommand("\(folder)/\($0)", into: folder)
    }
    return Outcome(packages: packages, resources: resources, compile: compile)
  }

  private func write(
    _ part: ComponentPart, _ component: ConvertOptions.Component, to path: String
  ) throws -> Package {
    let start = Date()
    let policy = try options.policy(for: component)
    let weights = StreamedWeights(part.weights, policy: policy, precision: part.precision)
    try part.network.write(
      weights,
      options: ExportOptions(
        target: options.target, attention: options.attention, precision: part.precision),
      to: path, metadata: part.metadata)
    return Package(
      component: part.name, path: path, bytes: try PackageBundle.bytes(of: path),
      bitsPerWeight: Double(weights.storedBits) / Double(max(1, weights.elementCount)),
      seconds: Date().timeIntervalSince(start))
  }

  /// - Throws: when a package without palettes is further from the model than half precision explains.
  private func checks(
    _ package: Package, _ component: ConvertOptions.Component
  ) throws -> [Check] {
    let check = CorrectnessCheck(model: model, vae: options.customVAE ?? model.path + "/vae")
    let checks = try check(package)
    if let bad = checks.first(where: { !($0.psnr >= CorrectnessCheck.floor) }),
      try options.policy(for: component).form == nil
    {
      throw JobError.unusable(
        file: package.path, expected: "output '\(bad.output)' within \(CorrectnessCheck.floor) dB of the model",
        found: String(format: "%.1f dB", bad.psnr))
    }
    return checks
  }

  /// The two halves of a UNet, beside it.
  private func chunks(of whole: Package) throws -> [Package] {
    let start = Date()
    let paths = (1...2).map { whole.path.replacingSuffix(".mlpackage", by: "_chunk\($0).mlpackage") }
    try PackageChunks(path: whole.path).write(to: paths[0], paths[1])
    let seconds = Date().timeIntervalSince(start)
    return try paths.enumerated().map { index, path in
      Package(
        component: "\(whole.component)_chunk\(index + 1)", path: path,
        bytes: try PackageBundle.bytes(of: path), bitsPerWeight: whole.bitsPerWeight,
        seconds: seconds)
    }
  }

  // MARK: Components

  private func parts(of component: ConvertOptions.Component) throws -> [ComponentPart] {
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
    return ComponentPart(
      name: name, fileName: fileName(name), network: network, weights: weights, precision: .half,
      metadata: metadata(name))
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
    var metadata = metadata(name)
    metadata.userDefined["com.github.apple.ml-stable-diffusion.version"] = "1.1.0"
    metadata.userDefined["sdtune.attention"] = options.attention.rawValue
    metadata.userDefined["sdtune.prediction_type"] = try model.prediction()
    metadata.userDefined["sdtune.latent_height"] = "\(height)"
    metadata.userDefined["sdtune.latent_width"] = "\(width)"
    return ComponentPart(
      name: name, fileName: fileName(name), network: network, weights: weights, precision: .half,
      metadata: metadata)
  }

  private func autoencoder(_ name: String) throws -> ComponentPart {
    let folder = try options.customVAE ?? model.component("vae")
    let configuration = try AutoencoderConfiguration(folder: folder)
    let size = try model.has("unet") ? UNetConfiguration(folder: model.component("unet")) : nil
    let factor = 1 << (configuration.blockChannels.count - 1)
    let (height, width) = try latentSize(size, or: configuration.sampleSize.map { $0 / factor })
    // SDXL's own VAE overflows half precision; one that was made to fit replaces it.
    let precision: ExportOptions.Precision =
      model.family != .base && options.customVAE == nil && configuration.needsSinglePrecision
      ? .single : .half
    let weights = try WeightFolder(path: folder)
    let shapes = weights.shapes()
    let decoder = try TracedNetwork.decoder(
      configuration, height: height, width: width, precision: precision, source: shapes)
    let encoder = try TracedNetwork.encoder(
      configuration, height: height * factor, width: width * factor, precision: precision,
      source: shapes)
    try shapes.checkAllUsed()
    var metadata = metadata(name)
    metadata.userDefined["sdtune.scaling_factor"] = "\(configuration.scalingFactor)"
    metadata.userDefined["sdtune.image_height"] = "\(height * factor)"
    metadata.userDefined["sdtune.image_width"] = "\(width * factor)"
    return ComponentPart(
      name: name, fileName: fileName(name), network: name == "vae_decoder" ? decoder : encoder,
      weights: weights, precision: precision, metadata: metadata)
  }

  private func latentSize(_ unet: UNetConfiguration) -> (height: Int, width: Int) {
    (options.latentHeight ?? unet.sampleSize, options.latentWidth ?? unet.sampleSize)
  }

  private func latentSize(
    _ unet: UNetConfiguration?, or own: Int?
  ) throws -> (height: Int, width: Int) {
    if let unet { return latentSize(unet) }
    guard let height = options.latentHeight ?? own, let width = options.latentWidth ?? own else {
      throw JobError.option(
        name: "--latent-h, --latent-w", expected: "latent pixels, as the model has no UNet to ask",
        found: "none")
    }
    return (height, width)
  }

  // MARK: Names

  private func fileName(_ part: String) -> String {
    let name = model.name.replacingOccurrences(of: "/", with: "_")
    return "Stable_Diffusion_version_\(name)_\(part).mlpackage"
  }

  private func metadata(_ part: String) -> Metadata {
    var metadata = Metadata()
    metadata.shortDescription =
      "Stable Diffusion generates images conditioned on text \(part == "unet" ? "or" : "and/or") other images as "
      + "input through the diffusion process. Please refer to https://arxiv.org/abs/2112.10752 for details."
    metadata.author = "Please refer to the Model Card available at huggingface.co/\(model.name)"
    metadata.version = model.name
    metadata.license =
      model.family == .base
      ? "OpenRAIL (https://huggingface.co/spaces/CompVis/stable-diffusion-license)"
      : "OpenRAIL++-M "
        + "(https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md)"
    metadata.userDefined = ["sdtune.component": part]
    return metadata
  }
}

/// One package to be written.
struct ComponentPart {
  /// As Apple's file names have it.
  let name: String
  let fileName: String
  let network: TracedNetwork
  let weights: WeightFolder
  let precision: ExportOptions.Precision
  let metadata: Metadata
}

extension WeightFolder {
  /// Names and shapes for a trace.
  ///
  /// - Parameter suffixes: of names that are no weights of the model.
  fileprivate func shapes(ignoring suffixes: [String] = []) -> WeightShapes {
    var shapes: [String: Shape] = [:]
    for name in names where !suffixes.contains(where: { name.hasSuffix($0) }) {
      shapes[name] = Shape(shape(of: name) ?? [])
    }
    return WeightShapes(shapes, origin: path)
  }
}

extension String {
  fileprivate func replacingSuffix(_ suffix: String, by other: String) -> String {
    hasSuffix(suffix) ? dropLast(suffix.count) + other : self + other
  }
}
