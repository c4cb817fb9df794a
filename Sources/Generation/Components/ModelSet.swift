internal import Foundation
internal import MILRuntime
internal import StableDiffusion

/// Where the parts of a Stable Diffusion model are: in a diffusers folder, in packages, or some here and some there.
package struct ModelSet: Sendable {
  /// A component's file or folder.
  package enum Place: Sendable, Equatable {
    case folder(String)
    case package(String)

    /// A package by its ending, a folder otherwise.
    package init(path: String) {
      self = path.hasSuffix(".mlpackage") || path.hasSuffix(".mlpackage/") ? .package(path) : .folder(path)
    }

    package var path: String {
      switch self {
      case .folder(let path), .package(let path): path
      }
    }

    /// What a UNet's package says it predicts, if it is one and says so.
    func prediction() throws -> String? {
      guard case .package(let path) = self else { return nil }
      return try PackageModel(path: path).note("sdtune.prediction_type")
    }
  }

  /// Packages that replace what the folder has, by path.
  package struct Replacements: Sendable {
    package var unet: String?
    package var textEncoder: String?
    package var textEncoder2: String?
    package var decoder: String?
    package var encoder: String?

    package init() {}
  }

  package let folder: String
  package var unet: Place
  /// One text encoder; two of SDXL.
  package let textEncoders: [Place]
  /// Folders with `vocab.json` and `merges.txt`, one for each text encoder.
  package let tokenizers: [String]
  package let decoder: Place
  /// Needed for pictures to start from only.
  package let encoder: Place?
  /// Nil of models without one.
  package let safetyChecker: Place?
  /// The folder with `scheduler_config.json`; nil for packages without one.
  package let scheduler: String?
  /// SDXL: whether the negative prompt that nobody gave is all zeros instead of the empty prompt.
  package let zeroesEmptyPrompt: Bool

  /// - Parameter folder: a diffusers folder, or one with packages under Apple's names.
  package init(
    _ folder: String, replacing packages: Replacements = Replacements()
  ) throws(GenerationError) {
    guard FileManager.default.fileExists(atPath: folder) else {
      throw .missing(
        component: "model", place: folder, hint: "give a diffusers folder or a folder of packages")
    }
    let search = Search(folder: folder)
    self.folder = folder
    unet = try search.place("unet", ["Unet", "UnetChunk1"], ["_unet", "_unet_chunk1"], packages.unet)
    var encoders = [
      try search.place("text_encoder", ["TextEncoder"], ["_text_encoder"], packages.textEncoder)
    ]
    if let second = search.optional(
      "text_encoder_2", ["TextEncoder2"], ["_text_encoder_2"], packages.textEncoder2)
    {
      encoders.append(second)
    }
    textEncoders = encoders
    decoder = try search.place("vae", ["VAEDecoder"], ["_vae_decoder"], packages.decoder)
    encoder = search.optional("vae", ["VAEEncoder"], ["_vae_encoder"], packages.encoder)
    tokenizers = try (0..<encoders.count).map { index throws(GenerationError) in
      try search.tokenizer(index == 0 ? "tokenizer" : "tokenizer_2")
    }
    safetyChecker = search.optional("safety_checker", ["SafetyChecker"], ["_safety_checker"], nil)
    let scheduler = folder + "/scheduler"
    self.scheduler =
      FileManager.default.fileExists(atPath: scheduler + "/scheduler_config.json") ? scheduler : nil
    let index = FileManager.default.contents(atPath: folder + "/model_index.json")
    let json = index.flatMap { try? JSONSerialization.jsonObject(with: $0) as? [String: Any] }
    zeroesEmptyPrompt = json?["force_zeros_for_empty_prompt"] as? Bool ?? (encoders.count == 2)
  }
}

/// Looks for components under the names that diffusers and Apple's tools give them.
private struct Search {
  let folder: String

  /// - Parameters:
  ///   - component: diffusers' folder
  ///   - names: of the package, without its ending
  ///   - suffixes: how the converter's long names end
  func optional(
    _ component: String, _ names: [String], _ suffixes: [String], _ given: String?
  ) -> ModelSet.Place? {
    if let given { return ModelSet.Place(path: given) }
    let own = "\(folder)/\(component)"
    if FileManager.default.fileExists(atPath: own + "/config.json") { return .folder(own) }
    let entries = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    let found = entries.first { entry in
      names.contains { entry == $0 + ".mlpackage" }
        || suffixes.contains { entry.hasSuffix($0 + ".mlpackage") }
    }
    return found.map { .package("\(folder)/\($0)") }
  }

  func place(
    _ component: String, _ names: [String], _ suffixes: [String], _ given: String?
  ) throws(GenerationError) -> ModelSet.Place {
    guard let place = optional(component, names, suffixes, given) else {
      throw .missing(
        component: component, place: folder, hint: "expected \(component)/ or \(names[0]).mlpackage")
    }
    guard FileManager.default.fileExists(atPath: place.path) else {
      throw .missing(component: component, place: place.path, hint: "no such file or folder")
    }
    return place
  }

  func tokenizer(_ name: String) throws(GenerationError) -> String {
    for candidate in ["\(folder)/\(name)", "\(folder)/tokenizer", folder]
    where FileManager.default.fileExists(atPath: candidate + "/vocab.json") {
      return candidate
    }
    throw .missing(
      component: "tokenizer", place: folder, hint: "expected \(name)/vocab.json and merges.txt")
  }
}
