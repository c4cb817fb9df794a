internal import Files
internal import Foundation
internal import Kernels
internal import StableDiffusion
internal import StrictJSON
internal import WeightFiles

/// A model in one file, under the original names or under diffusers', in whatever format the file has.
///
/// What names and extents do not tell comes from the configuration that is handed over, or from the published models of the
/// family.
struct SingleFile: ModelLayout {
  private let source: any WeightSource
  private let sections: FileSections
  /// Configurations that are handed over.
  private let given: DiffusersFolder?
  private let prediction: (name: String, why: String)
  /// The UNet's.
  private let kind: InferredConfiguration.Kind?

  let warnings: [String]

  /// - Parameters:
  ///   - configuration: a folder in diffusers' layout whose configurations count instead of what is inferred.
  ///   - prediction: what the UNet predicts, where that is known.
  init(_ path: String, configuration: String?, prediction: String?) throws {
    try self.init(WeightFile.open(path), configuration: configuration, prediction: prediction)
  }

  init(_ source: any WeightSource, configuration: String?, prediction: String?) throws {
    self.source = source
    sections = try FileSections(source)
    given = try configuration.map { try DiffusersFolder($0) }
    kind = sections.sections[.unet].map { InferredConfiguration(Self.weights(source, $0), .unet).kind }
    let scheduler = try given?.scheduler()
    if let prediction {
      self.prediction = (prediction, "as told")
    } else if let scheduler {
      self.prediction = (try NoiseSchedule(scheduler).prediction.rawValue, "by \(scheduler.file)")
    } else {
      self.prediction = try PredictionMarks(source, sections).found(kind)
    }
    var lines: [String] = []
    if !sections.unknown.isEmpty {
      lines.append("\(source.origin): \(sections.unknown.count) tensors are not used, first '\(sections.unknown[0])'")
    }
    if kind != nil, prediction == nil, scheduler == nil {
      lines.append(
        "\(source.origin): taken as \(self.prediction.name) (\(self.prediction.why)); --prediction-type says otherwise")
    }
    if let mark = Self.edmMarks.first(where: { source.contains($0) }), scheduler == nil {
      lines.append(
        "\(source.origin): '\(mark)' says that the model was trained on EDM's schedule, which is not built: pictures made "
          + "here would be wrong; conversion is not touched by it")
    }
    warnings = lines
  }

  /// Of Playground 2.5 and of CosXL.
  private static let edmMarks = ["edm_mean", "edm_vpred.sigma_max"]

  private static func weights(_ source: any WeightSource, _ section: FileSections.Section) -> any WeightSource {
    RenamedWeights(source, section.views.views, spell: section.views.spell)
  }

  var parts: Set<ModelPart> { Set(sections.sections.keys) }

  /// SDXL was trained to see zeros where there is no prompt.
  var index: JSONConfiguration {
    JSONConfiguration(
      file: source.origin, values: kind == .xl ? ["force_zeros_for_empty_prompt": .boolean(true)] : [:])
  }

  private func section(_ part: ModelPart) throws(ModelError) -> FileSections.Section {
    guard let section = sections.sections[part] else {
      let hint =
        part == .vae
        ? "--vae FILE gives one" : "the file holds \(parts.map(\.rawValue).sorted().joined(separator: ", "))"
      throw .missing(part: part.rawValue, path: source.origin, hint: hint)
    }
    return section
  }

  func configuration(of part: ModelPart) throws -> JSONConfiguration {
    let section = try section(part)
    if let given, given.parts.contains(part) { return try given.configuration(of: part) }
    let inferred = InferredConfiguration(Self.weights(source, section), part)
    switch part {
    case .unet: return try inferred.unet(prediction: prediction.name)
    case .textEncoder, .textEncoder2:
      return try inferred.textEncoder(isOpenCLIP: section.isOpenCLIP, projects: part == .textEncoder2)
    case .vae: return try normalization(try inferred.autoencoder(kind))
    case .safetyChecker:
      throw ModelError.missing(part: part.rawValue, path: source.origin, hint: "single files have none")
    }
  }

  /// With the latents' mean and deviation that Playground 2.5 and its kin leave in the file; their factor is 0.5.
  private func normalization(_ json: JSONConfiguration) throws -> JSONConfiguration {
    guard source.contains("edm_mean"), source.contains("edm_std") else { return json }
    func numbers(_ name: String) throws -> StrictJSON {
      .array(try source.floats(name).elements.map { .number(Double($0)) })
    }
    return json.replacing([
      "latents_mean": try numbers("edm_mean"), "latents_std": try numbers("edm_std"), "scaling_factor": .number(0.5),
    ])
  }

  func component(_ part: ModelPart) throws -> ModelComponent {
    let section = try section(part)
    let unused = sections.unused(part, in: source)
    guard unused.isEmpty else {
      throw ModelError.notAModel(
        path: source.origin, expected: "a \(part.rawValue) of Stable Diffusion alone under '\(section.prefix)'",
        found: "\(unused.count) tensors beside it, first '\(unused[0])'")
    }
    return try ModelComponent(configuration(of: part), Self.weights(source, section))
  }

  func tokenizer(of part: ModelPart) throws -> TokenizerFiles? {
    if let own = try given?.tokenizer(of: part) { return own }
    let vocabulary = try configuration(of: part).integer("vocab_size")
    guard vocabulary >= 49408 else {
      throw ModelError.missing(
        part: "tokenizer", path: source.origin,
        hint:
          "a text encoder of \(vocabulary) tokens does not take CLIP's 49408; --model-config DIR may hold \(part.tokenizerFolder ?? "one")"
      )
    }
    let isOpenCLIP = sections.sections[part]?.isOpenCLIP ?? false
    return .clip(padding: isOpenCLIP ? CLIPTokenizer.openCLIPPadding : nil)
  }

  func scheduler() throws -> JSONConfiguration? {
    let json = try given?.scheduler() ?? usualScheduler
    return json.replacing(["prediction_type": .string(prediction.name)])
  }

  /// What the published models of the family come with.
  private var usualScheduler: JSONConfiguration {
    var changes: [String: StrictJSON?] = [:]
    if source.contains("ztsnr") { changes["rescale_betas_zero_snr"] = .boolean(true) }
    switch kind {
    case .xl, .refiner:
      changes["timestep_spacing"] = .string("leading")
      return .stableDiffusionSchedule(className: "EulerDiscreteScheduler").replacing(changes)
    case .sd2: return .stableDiffusionSchedule(className: "DDIMScheduler").replacing(changes)
    case .sd1, nil: return .stableDiffusionSchedule(className: "PNDMScheduler").replacing(changes)
    }
  }
}

/// What the file or its neighbour says of what the UNet predicts.
private struct PredictionMarks {
  private let source: any WeightSource
  private let sections: FileSections

  init(_ source: any WeightSource, _ sections: FileSections) {
    self.source = source
    self.sections = sections
  }

  /// - Returns: diffusers' name, and how it is known.
  func found(_ kind: InferredConfiguration.Kind?) throws -> (String, String) {
    if let told = source.metadata["modelspec.prediction_type"] {
      if told == "v" || told == "v_prediction" { return ("v_prediction", "by modelspec.prediction_type") }
      if told == "epsilon" { return ("epsilon", "by modelspec.prediction_type") }
    }
    if source.contains("v_pred") || source.contains("edm_vpred.sigma_max") {
      return ("v_prediction", "by the tensor that says so")
    }
    // AUTOMATIC1111's convention: a configuration of the same name beside the file.
    let beside = (source.origin as NSString).deletingPathExtension + ".yaml"
    if FileManager.default.fileExists(atPath: beside) {
      let text = try MappedFile.text(beside)
      let isVelocity = text.contains("parameterization: \"v\"") || text.contains("parameterization: v")
      return (isVelocity ? "v_prediction" : "epsilon", "by \(beside)")
    }
    guard kind == .sd2, let section = sections.sections[.unet] else { return ("epsilon", "the file does not say") }
    // In UNets of SD 2 that predict velocities this bias is spread wider, as ComfyUI found.
    let weights = RenamedWeights(source, section.views.views)
    let name = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"
    guard weights.contains(name), weights.shape(of: "conv_in.weight")?.dropFirst().first == 4 else {
      return ("epsilon", "the file does not say")
    }
    let bias = try weights.floats(name).elements.map(Double.init)
    let mean = bias.reduce(0, +) / Double(bias.count)
    let deviation = (bias.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(bias.count)).squareRoot()
    return (deviation > 0.09 ? "v_prediction" : "epsilon", "by the spread of \(weights.spelling(of: name))")
  }
}
