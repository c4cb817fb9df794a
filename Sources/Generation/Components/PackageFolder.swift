internal import Foundation
internal import MILRuntime
internal import Models
internal import StableDiffusion

/// A folder of packages or compiled models under Apple's names: the converter's own, a `Resources` folder, or any level of a repository in the
/// layout of Apple's on the hub.
struct PackageFolder {
  let path: String
  /// Where packages are looked for.
  private let roots: [String]

  private static let forms = ["split_einsum", "original", "split_einsum_v2"]

  init(_ path: String) {
    self.path = path
    let levels = [""] + Self.forms.map { "/\($0)" }
    roots = levels.flatMap { level in ["", "/packages", "/Resources", "/compiled"].map { path + level + $0 } }
      .filter { FileManager.default.fileExists(atPath: $0) }
  }

  /// A package, or if there is none a compiled model.
  ///
  /// - Parameters:
  ///   - names: of the package, without its ending
  ///   - suffixes: how the converter's long names end
  func package(_ names: [String], _ suffixes: [String]) -> String? {
    for ending in [".mlpackage", ".mlmodelc"] {
      for root in roots {
        let entries = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).sorted()
        let found = entries.first { entry in
          names.contains { entry == $0 + ending } || suffixes.contains { entry.hasSuffix($0 + ending) }
        }
        if let found { return "\(root)/\(found)" }
      }
    }
    return nil
  }

  /// The tokenizer of a text encoder's package.
  ///
  /// - Parameters:
  ///   - name: of its own folder
  ///   - encoder: its package, which may note what prompts are filled up with.
  ///   - isOpenCLIP: whether the family's encoder is OpenCLIP's, whose prompts are filled up with `!`. Apple's layout holds
  ///     one vocabulary for all and has no place to say so.
  func tokenizer(_ name: String, encoder: String?, isOpenCLIP: Bool) throws -> TokenizerFiles {
    let parent = (path as NSString).deletingLastPathComponent
    let beside =
      roots.flatMap { [$0, ($0 as NSString).deletingLastPathComponent + "/compiled"] } + ["\(parent)/compiled"]
    let own = "\(path)/\(name)"
    for folder in [own, "\(path)/tokenizer", path] + beside where TokenizerFiles.exist(in: folder) {
      let files = try TokenizerFiles(folder: folder)
      if folder == own || (files.padding != nil && name == "tokenizer") { return files }
      if let noted = try encoder.flatMap({ try PackageModel(path: $0).note("sdtune.pad_token") }) {
        return files.padded(with: noted)
      }
      return isOpenCLIP ? files.padded(with: CLIPTokenizer.openCLIPPadding) : files
    }
    throw GenerationError.missing(
      component: "tokenizer", place: path, hint: "expected \(name)/vocab.json and merges.txt, or tokenizer.json")
  }

  /// `scheduler_config.json` beside packages.
  func scheduler() throws -> JSONConfiguration? {
    let files = [path, (path as NSString).deletingLastPathComponent].flatMap {
      ["\($0)/scheduler/scheduler_config.json", "\($0)/scheduler_config.json"]
    }
    guard let file = files.first(where: { FileManager.default.fileExists(atPath: $0) }) else { return nil }
    return try JSONConfiguration(file: file)
  }
}
