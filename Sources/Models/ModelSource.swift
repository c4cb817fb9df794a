internal import Files
internal import Foundation
package import StableDiffusion
internal import StrictJSON
package import WeightFiles

/// A Stable Diffusion model, however it lies on the disk, with what is put on top of it.
///
/// It takes diffusers' folders, repositories of the Hugging Face cache and single files of every format and layout, by
/// content. Configurations are read when they are asked for, weights when they are used.
package struct ModelSource: Sendable {
  /// As given.
  package let path: String
  /// What the model calls itself in file names and metadata.
  package let name: String
  package let additions: ModelAdditions
  private let layout: any ModelLayout
  private let adapters: AdapterSet
  private let embeddings: TextualInversions
  private let vae: (any ModelLayout)?

  /// - Throws: ``ModelError`` if there is no model, or an addition does not fit it.
  package init(_ path: String, _ additions: ModelAdditions = ModelAdditions()) throws {
    try self.init(path, Self.layout(ModelPath.resolved(path), additions), additions)
  }

  /// A model whose tensors are at hand, under the original names or diffusers'.
  package init(_ weights: any WeightSource, _ additions: ModelAdditions = ModelAdditions()) throws {
    let file = try SingleFile(weights, configuration: additions.configuration, prediction: additions.prediction)
    try self.init(weights.origin, file, additions)
  }

  private init(_ path: String, _ layout: any ModelLayout, _ additions: ModelAdditions) throws {
    self.path = path
    self.additions = additions
    self.layout = layout
    name = ModelPath.name(path)
    if let prediction = additions.prediction, NoiseSchedule.Prediction(rawValue: prediction) == nil {
      throw ModelError.notAModel(
        path: "--prediction-type", expected: "epsilon or v_prediction", found: prediction)
    }
    vae = try additions.vae.map { try Self.autoencoder($0) }
    adapters = try AdapterSet(additions.adapters, for: layout)
    embeddings = try TextualInversions(additions.embeddings, for: layout)
  }

  private static func layout(_ path: String, _ additions: ModelAdditions) throws -> any ModelLayout {
    guard FileManager.default.fileExists(atPath: path) else {
      throw ModelError.notAModel(
        path: path, expected: "a Stable Diffusion model, a diffusers folder or a single file",
        found: "no such file or folder")
    }
    guard isFolder(path) else {
      return try SingleFile(path, configuration: additions.configuration, prediction: additions.prediction)
    }
    let folder = try DiffusersFolder(path)
    guard !folder.parts.isEmpty else {
      throw ModelError.notAModel(
        path: path, expected: "a diffusers folder with unet/config.json and other parts", found: inWords(path))
    }
    return folder
  }

  /// The folder or file that a path means: of a repository of the Hugging Face cache, its snapshot.
  package static func folder(_ path: String) throws -> String { try ModelPath.resolved(path) }

  package static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// What a folder that is no model holds.
  package static func inWords(_ folder: String) -> String {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    let files = names.filter { [".safetensors", ".ckpt", ".gguf", ".pt"].contains(where: $0.hasSuffix) }
    if let file = files.first { return "\(files.count) single files: give one itself, such as \(folder)/\(file)" }
    if names.contains("coremldata.bin") { return "a compiled Core ML model, whose weights cannot be changed" }
    if let name = names.first(where: { $0.hasSuffix(".mlmodelc") || $0.hasSuffix(".mlpackage") }) {
      return "Core ML models such as \(name), whose weights cannot be changed"
    }
    if names.contains("config.json") { return "one component of a model" }
    return names.isEmpty ? "an empty folder" : names.prefix(5).joined(separator: ", ")
  }

  /// A VAE from a folder of its own, from a whole model's folder, or from a single file.
  private static func autoencoder(_ path: String) throws -> any ModelLayout {
    let place = try ModelPath.resolved(path)
    if FileManager.default.fileExists(atPath: place + "/config.json") {
      return ComponentFolder(path: place, part: .vae)
    }
    let layout = try layout(place, ModelAdditions())
    guard layout.parts.contains(.vae) else {
      throw ModelError.missing(
        part: "VAE", path: path, hint: "it holds \(layout.parts.map(\.rawValue).sorted().joined(separator: ", "))")
    }
    return layout
  }

  // MARK: Parts

  package func has(_ part: ModelPart) -> Bool { (part == .vae && vae != nil) || layout.parts.contains(part) }

  /// What a person should hear before work begins.
  package var warnings: [String] { layout.warnings + adapters.lines }

  private func check(_ part: ModelPart) throws(ModelError) {
    guard !has(part) else { return }
    throw .missing(
      part: part.rawValue, path: path,
      hint: layout is DiffusersFolder
        ? "expected \(part.rawValue)/config.json in this model"
        : part == .vae
          ? "--vae FILE gives one" : "the file holds \(layout.parts.map(\.rawValue).sorted().joined(separator: ", "))")
  }

  package func configuration(of part: ModelPart) throws -> JSONConfiguration {
    try check(part)
    switch part {
    case .vae: return try (vae ?? layout).configuration(of: .vae).replacing(scalingChange())
    case .unet: return try layout.configuration(of: .unet).replacing(guidanceChange)
    case .textEncoder, .textEncoder2: return try embeddings.enlarged(layout.configuration(of: part), part)
    case .safetyChecker: return try layout.configuration(of: part)
    }
  }

  /// A VAE from a single file has the scaling factor of the model that it goes into, as only configurations say their own.
  private func scalingChange() throws -> [String: StrictJSON?] {
    guard vae is SingleFile else { return [:] }
    if layout.parts.contains(.vae) {
      return ["scaling_factor": try layout.configuration(of: .vae)["scaling_factor"] ?? .number(0.18215)]
    }
    return family == .base ? [:] : ["scaling_factor": .number(0.13025)]
  }

  /// A UNet that is told its guidance has it in its weights from here on.
  private var guidanceChange: [String: StrictJSON?] { ["time_cond_proj_dim": nil] }

  package func component(_ part: ModelPart) throws -> ModelComponent {
    try check(part)
    switch part {
    case .vae:
      let component = try (vae ?? layout).component(.vae)
      return try ModelComponent(component.configuration.replacing(scalingChange()), component.weights)
    case .unet:
      let component = try adapters.merged(layout.component(.unet), .unet)
      return try GuidanceEmbedding(component).folded(additions.guidance ?? Self.usualGuidance)
    case .textEncoder, .textEncoder2:
      return try embeddings.added(to: adapters.merged(layout.component(part), part), part)
    case .safetyChecker: return try layout.component(part)
    }
  }

  /// Builds a part's network, which names weights that are missing, misshapen or not used.
  package func checkNetwork(of part: ModelPart) throws {
    let component = try component(part)
    switch part {
    case .unet: _ = try component.unet()
    case .textEncoder, .textEncoder2: _ = try component.textEncoder()
    case .vae: _ = try component.autoencoder()
    case .safetyChecker: _ = try component.safetyChecker()
    }
  }

  /// What a distilled UNet is told where nobody says otherwise; our default guidance.
  package static let usualGuidance = 7.5

  /// What packages of such UNets note the guidance under that they were told.
  package static let embeddedGuidanceNote = "sdtune.embedded_guidance"

  /// Whether the UNet is told its guidance instead of being asked twice.
  package var embedsGuidance: Bool {
    ((try? layout.configuration(of: .unet).has("time_cond_proj_dim")) ?? false)
  }

  package func unetConfiguration() throws -> UNetConfiguration {
    try UNetConfiguration(configuration(of: .unet))
  }

  /// The text encoders that there are.
  package var textEncoders: [ModelPart] { ModelPart.textEncoders.filter { has($0) } }

  /// Tokens of a prompt: as many as the text encoder has places for, 77 where there is none to ask.
  package func tokenCount() throws -> Int {
    guard let encoder = textEncoders.first else { return 77 }
    return try TextEncoderConfiguration(configuration(of: encoder)).positions
  }

  /// The tokenizer's files of a text encoder, with the tokens of embeddings.
  package func tokenizerFiles(of part: ModelPart) throws -> TokenizerFiles {
    try check(part)
    guard let files = try layout.tokenizer(of: part) else {
      throw ModelError.missing(
        part: "tokenizer", path: path,
        hint: "expected \(part.tokenizerFolder ?? "tokenizer")/vocab.json and merges.txt, or tokenizer.json")
    }
    return knowingEmbeddings(files, part)
  }

  /// A text encoder's tokenizer with the words of the embeddings.
  package func knowingEmbeddings(_ files: TokenizerFiles, _ part: ModelPart) -> TokenizerFiles {
    embeddings.added(to: files, part)
  }

  /// A tokenizer that cuts and pads to what its encoder takes.
  package func tokenizer(of part: ModelPart) throws -> CLIPTokenizer {
    try CLIPTokenizer(tokenizerFiles(of: part), length: TextEncoderConfiguration(configuration(of: part)).positions)
  }

  // MARK: What the whole model is

  /// By its parts: SDXL's UNets take pooled text, a refiner's has an aesthetic score and one text encoder.
  package var family: ModelFamily {
    if layout.parts.contains(.unet), let unet = try? unetConfiguration() {
      guard let count = unet.timeIdentifierCount(pooled: pooledFeatures) else { return .base }
      return count == 5 ? .refiner : .xl
    }
    guard layout.parts.contains(.textEncoder2) else { return .base }
    return layout.parts.contains(.textEncoder) ? .xl : .refiner
  }

  /// Features of the pooled text; nil without a text encoder to ask.
  package var pooledFeatures: Int? {
    guard let last = textEncoders.last, let json = try? configuration(of: last) else { return nil }
    return try? TextEncoderConfiguration(json).projection ?? TextEncoderConfiguration(json).features
  }

  /// `scheduler_config.json`, or what stands for it; nil where a folder has none.
  package func scheduler() throws -> JSONConfiguration? {
    guard let prediction = additions.prediction else { return try layout.scheduler() }
    return try layout.scheduler()?.replacing(["prediction_type": .string(prediction)])
  }

  /// What noise is to a picture at every timestep.
  package func schedule() throws -> NoiseSchedule { try NoiseSchedule(requiredScheduler()) }

  /// See ``scheduler()``.
  ///
  /// - Throws: ``ModelError`` where a folder has none.
  package func requiredScheduler() throws -> JSONConfiguration {
    guard let json = try scheduler() else {
      throw ModelError.missing(
        part: "scheduler", path: path, hint: "expected scheduler/scheduler_config.json in this model")
    }
    return json
  }

  /// What the UNet predicts, as diffusers names it; noise where there is nothing to ask.
  package func prediction() throws -> String {
    try additions.prediction ?? scheduler().map { try NoiseSchedule($0).prediction.rawValue }
      ?? NoiseSchedule.Prediction.epsilon.rawValue
  }

  /// SDXL: whether the negative prompt that nobody gave is all zeros instead of the empty prompt.
  package func zeroesEmptyPrompt() throws -> Bool {
    try layout.index.boolean("force_zeros_for_empty_prompt", default: family == .xl)
  }

  /// Files that the model's weights come from, and what beside them decides the weights.
  package func identity(of part: ModelPart) throws -> [String] {
    let component = try component(part)
    return component.weights.files.sorted() + component.weights.notes + [component.configuration.json.text]
  }
}

/// One component's folder.
private struct ComponentFolder: ModelLayout {
  let path: String
  let part: ModelPart
  var parts: Set<ModelPart> { [part] }
  let warnings: [String] = []
  var index: JSONConfiguration { JSONConfiguration(file: path, values: [:]) }

  func configuration(of part: ModelPart) throws -> JSONConfiguration { try ModelComponent.configuration(folder: path) }
  func component(_ part: ModelPart) throws -> ModelComponent { try ModelComponent(folder: path) }
  func tokenizer(of part: ModelPart) throws -> TokenizerFiles? { nil }
  func scheduler() throws -> JSONConfiguration? { nil }
}
