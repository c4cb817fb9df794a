internal import Files
internal import Foundation
internal import Kernels
internal import StableDiffusion

/// A Stable Diffusion model in diffusers' folder layout, or as much of one as there is.
struct DiffusersFolder: ModelLayout {
  let path: String
  let parts: Set<ModelPart>
  let index: JSONConfiguration
  let warnings: [String] = []

  init(_ path: String) throws {
    self.path = path
    parts = Set(
      ModelPart.allCases.filter { FileManager.default.fileExists(atPath: "\(path)/\($0.rawValue)/config.json") })
    let file = path + "/model_index.json"
    index =
      FileManager.default.fileExists(atPath: file)
      ? try JSONConfiguration(file: file) : JSONConfiguration(file: file, values: [:])
  }

  func configuration(of part: ModelPart) throws -> JSONConfiguration {
    try ModelComponent.configuration(folder: "\(path)/\(part.rawValue)")
  }

  func component(_ part: ModelPart) throws -> ModelComponent {
    try ModelComponent(folder: "\(path)/\(part.rawValue)")
  }

  func tokenizer(of part: ModelPart) throws -> TokenizerFiles? {
    guard let name = part.tokenizerFolder, TokenizerFiles.exist(in: "\(path)/\(name)") else { return nil }
    return try TokenizerFiles(folder: "\(path)/\(name)")
  }

  func scheduler() throws -> JSONConfiguration? {
    let file = path + "/scheduler/scheduler_config.json"
    return FileManager.default.fileExists(atPath: file) ? try JSONConfiguration(file: file) : nil
  }
}

/// Where a model's path leads: repositories of the Hugging Face cache hold snapshots of links into their blobs.
enum ModelPath {
  /// The folder or file that is meant.
  static func resolved(_ path: String) throws(ModelError) -> String {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let files = FileManager.default
    let main = path + "/refs/main"
    guard files.fileExists(atPath: path + "/snapshots"), files.fileExists(atPath: main) else { return path }
    let commit = (try? MappedFile.text(main)) ?? ""
    let name = commit.trimmingCharacters(in: .whitespacesAndNewlines)
    let snapshot = "\(path)/snapshots/\(name)"
    guard !name.isEmpty, !name.hasPrefix("."), !name.contains("/"), files.fileExists(atPath: snapshot) else {
      throw .notAModel(path: path, expected: "the snapshot that refs/main names", found: "none of '\(name.prefix(60))'")
    }
    return snapshot
  }

  /// What a model calls itself: of a cache `ORGANIZATION/NAME`, of others the last part of the path, without the ending of
  /// a file.
  static func name(_ path: String) -> String {
    let parts = URL(filePath: path).standardizedFileURL.pathComponents
    if let cache = parts.last(where: { $0.hasPrefix("models--") }) {
      return cache.dropFirst("models--".count).replacingOccurrences(of: "--", with: "/")
    }
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    let url = URL(filePath: path).standardizedFileURL
    return (isFolder.boolValue ? url : url.deletingPathExtension()).lastPathComponent
  }
}
