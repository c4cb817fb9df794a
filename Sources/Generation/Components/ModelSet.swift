internal import Foundation
internal import MILRuntime
package import Models
package import StableDiffusion

/// The parts of a Stable Diffusion model that pictures are made with: native ones, packages, or some of each.
package struct ModelSet: Sendable {
  /// Packages, folders or files that replace what the model has, by path.
  package struct Replacements: Sendable {
    package var unet: String?
    package var textEncoder: String?
    package var textEncoder2: String?
    package var decoder: String?
    package var encoder: String?

    package init() {}
  }

  /// As given.
  package let path: String
  /// Nil of a folder of packages alone.
  package let source: ModelSource?
  package var unet: ModelPlace
  /// One text encoder; two of SDXL.
  package let textEncoders: [ModelPlace]
  /// Whether the UNet takes pooled text: SDXL's and its refiner's do, and then there is the second text encoder.
  let poolsText: Bool
  /// One for each text encoder.
  package let tokenizers: [TokenizerFiles]
  package internal(set) var decoder: ModelPlace
  /// Needed for pictures to start from only.
  package internal(set) var encoder: ModelPlace?
  /// Nil of models without one.
  package let safetyChecker: ModelPlace?
  /// `scheduler_config.json`, or what stands for it; nil for packages without one.
  package let scheduler: JSONConfiguration?
  /// SDXL: whether the negative prompt that nobody gave is all zeros instead of the empty prompt.
  package let zeroesEmptyPrompt: Bool
  /// Whether the UNet is told its guidance instead of being asked twice.
  let embedsGuidance: Bool
  /// What the user says that the UNet predicts.
  package let prediction: String?
  /// What a person should hear before work begins.
  package let warnings: [String]

  /// - Parameters:
  ///   - path: a model in any form that ``ModelSource`` takes, or a folder of packages under Apple's names.
  ///   - additions: what is put on top of the model.
  ///   - checksSafety: whether the model's safety checker is wanted, if there is one.
  package init(
    _ path: String, replacing packages: Replacements = Replacements(), additions: ModelAdditions = ModelAdditions(),
    checksSafety: Bool = true
  ) throws {
    guard FileManager.default.fileExists(atPath: path) else {
      throw GenerationError.missing(
        component: "model", place: path, hint: "give a diffusers folder, a single file or a folder of packages")
    }
    let place = try ModelSource.folder(path)
    let folder = PackageFolder(place)
    let source: ModelSource?
    do {
      source = try ModelSource(path, additions)
    } catch let error as ModelError {
      // A folder of packages is no model of ours; what is missing of it is named below.
      guard case .notAModel(place, _, _) = error, ModelSource.isFolder(place) else { throw error }
      guard additions.leavesWeights else {
        throw GenerationError.option(
          name: "--lora, --embedding, --vae, --model-config", expected: "a model that is no package", found: path)
      }
      source = nil
    }
    let replaced = [packages.unet, packages.textEncoder, packages.textEncoder2].compactMap { $0 }
    if let other = replaced.first, !additions.adapters.isEmpty {
      throw GenerationError.option(
        name: "--lora", expected: "the model's own UNet and text encoders, which it changes", found: other)
    }
    let search = Search(path: path, folder: folder, source: source)
    self.path = path
    self.source = source
    let unet = try search.place(.unet, ["Unet", "UnetChunk1"], ["_unet", "_unet_chunk1"], packages.unet)
    (self.unet, embedsGuidance) = try search.toldGuidance(unet, replaced: packages.unet, additions.guidance)
    let first = try search.optional(.textEncoder, ["TextEncoder"], ["_text_encoder"], packages.textEncoder)
    let second = try search.optional(.textEncoder2, ["TextEncoder2"], ["_text_encoder_2"], packages.textEncoder2)
    guard first != nil || second != nil else { throw try search.missing(.textEncoder, ["TextEncoder"]) }
    textEncoders = [first, second].compactMap { $0 }
    poolsText = second != nil
    decoder = try search.place(.vae, ["VAEDecoder"], ["_vae_decoder"], packages.decoder)
    encoder = try search.optional(.vae, ["VAEEncoder"], ["_vae_encoder"], packages.encoder)
    safetyChecker =
      checksSafety ? try search.optional(.safetyChecker, ["SafetyChecker"], ["_safety_checker"], nil) : nil
    let isOpenCLIP = try search.isOpenCLIP(first)
    var tokenizers: [TokenizerFiles] = []
    for (part, place) in [(ModelPart.textEncoder, first), (.textEncoder2, second)] {
      guard let place else { continue }
      tokenizers.append(try search.tokenizer(part, place, isOpenCLIP: part == .textEncoder2 || isOpenCLIP))
    }
    self.tokenizers = tokenizers
    scheduler = try source?.scheduler() ?? folder.scheduler()
    zeroesEmptyPrompt = try source?.zeroesEmptyPrompt() ?? (textEncoders.count == 2)
    prediction = additions.prediction
    warnings = source?.warnings ?? []
  }

  /// What the UNet predicts, as diffusers names it; nil where nothing tells.
  func knownPrediction() throws -> String? {
    if let prediction { return prediction }
    if let noted = try unet.prediction() { return noted }
    return try scheduler.map { try NoiseSchedule($0).prediction.rawValue }
  }
}

/// Looks for parts in a model and among packages.
private struct Search {
  let path: String
  let folder: PackageFolder
  let source: ModelSource?

  func optional(
    _ part: ModelPart, _ names: [String], _ suffixes: [String], _ given: String?
  ) throws -> ModelPlace? {
    if let given {
      guard FileManager.default.fileExists(atPath: given) else {
        throw GenerationError.missing(component: part.rawValue, place: given, hint: "no such file or folder")
      }
      return try ModelPlace(path: given, part)
    }
    if let source, source.has(part) { return .component(try source.component(part)) }
    return folder.package(names, suffixes).map { .package($0) }
  }

  /// A UNet that is told its guidance once for all, and whether it is one of those that are.
  func toldGuidance(_ unet: ModelPlace, replaced: String?, _ guidance: Double?) throws -> (ModelPlace, Bool) {
    switch unet {
    case .component(let component):
      let embedding = GuidanceEmbedding(component)
      // The model's own is told already.
      guard embedding.isNeeded else { return (unet, replaced == nil && source?.embedsGuidance ?? false) }
      return (.component(try embedding.folded(guidance ?? ModelSource.usualGuidance)), true)
    case .package(let path):
      return (unet, try PackageModel(path: path).note(ModelSource.embeddedGuidanceNote) != nil)
    }
  }

  func place(
    _ part: ModelPart, _ names: [String], _ suffixes: [String], _ given: String?
  ) throws -> ModelPlace {
    guard let place = try optional(part, names, suffixes, given) else { throw try missing(part, names) }
    return place
  }

  func missing(_ part: ModelPart, _ names: [String]) throws -> GenerationError {
    return .missing(
      component: part.rawValue, place: path,
      hint:
        "expected \(part.rawValue)/config.json, \(names[0]).mlpackage or \(names[0]).mlmodelc, found \(ModelSource.inWords(path))"
    )
  }

  /// Whether a package's only text encoder is SD 2's, by the width of its states.
  func isOpenCLIP(_ place: ModelPlace?) throws -> Bool {
    guard case .package(let path)? = place else { return false }
    let states = try PackageModel(path: path).outputs.first { $0.name == "last_hidden_state" }?.shape
    return states?.last.flatMap { $0 } == 1024
  }

  func tokenizer(_ part: ModelPart, _ place: ModelPlace, isOpenCLIP: Bool) throws -> TokenizerFiles {
    if let source, source.has(part) { return try source.tokenizerFiles(of: part) }
    var encoder: String?
    if case .package(let path) = place { encoder = path }
    return try folder.tokenizer(
      part == .textEncoder ? "tokenizer" : "tokenizer_2", encoder: encoder, isOpenCLIP: isOpenCLIP)
  }
}
