import Files
import Foundation
import Kernels
import Models
import TestSupport
import Testing
import WeightFiles

/// Model files with what must be read from them: the folder in `SDTUNE_MODELFILES`, or the repository's own set. Any set of
/// the same form can be put in its place (`make modelfiles MODELFILES=DIR`).
enum ModelFiles {
  static let folder: URL = {
    if let path = ProcessInfo.processInfo.environment["SDTUNE_MODELFILES"], !path.isEmpty { return URL(filePath: path) }
    return URL(filePath: #filePath).deletingLastPathComponent().appending(path: "ModelFiles")
  }()

  static func path(_ name: String) -> String { folder.appending(path: name).path }

  /// A case of the set's manifest.
  struct Entry: CustomTestStringConvertible, Sendable {
    let file: String
    let kind: String
    let component: String?
    let base: String?
    let config: String?
    let mayRefuse, mayRead: Bool
    let prediction: String?
    let isInferable: Bool
    /// `ok` or `refuse`.
    let result: String
    let mustName: [String]
    let digests, tokens, tensors, rows, embedding, configuration, io: String?
    let strengths, alternatives: [String: String]
    let tolerance: Double

    var testDescription: String { file }

    init?(_ json: [String: Any]) {
      guard let file = json["file"] as? String, let kind = json["kind"] as? String,
        let expect = json["expect"] as? [String: Any], let result = expect["result"] as? String
      else { return nil }
      (self.file, self.kind, self.result) = (file, kind, result)
      component = json["component"] as? String
      base = json["base"] as? String
      config = json["config"] as? String
      mayRefuse = json["mayRefuse"] as? Bool ?? false
      mayRead = json["mayRead"] as? Bool ?? false
      prediction = json["predictionType"] as? String
      isInferable = json["inferable"] as? Bool ?? false
      mustName = expect["mustName"] as? [String] ?? []
      digests = expect["digests"] as? String
      tokens = expect["tokens"] as? String
      tensors = expect["tensors"] as? String
      rows = expect["rows"] as? String
      embedding = expect["embedding"] as? String
      configuration = expect["configuration"] as? String
      strengths = expect["strengths"] as? [String: String] ?? [:]
      alternatives = json["alternatives"] as? [String: String] ?? [:]
      tolerance = expect["tolerance"] as? Double ?? 0
      io = (json["io"] as? [String: Any])?["file"] as? String
    }
  }

  /// All cases; a set without a manifest has none, which ``ModelFilesTests/thereAreCases()`` calls a failure.
  static let entries: [Entry] = {
    guard let data = try? Data(contentsOf: folder.appending(path: "manifest.json")),
      let manifest = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      let cases = manifest["entries"] as? [[String: Any]]
    else { return [] }
    return cases.compactMap { Entry($0) }
  }()

  static func entries(_ kinds: String..., result: String) -> [Entry] {
    entries.filter { kinds.contains($0.kind) && $0.result == result }
  }

  static func json(_ name: String) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(contentsOf: folder.appending(path: name))) as? [String: Any])
  }

  /// The path of an entry; a repository of the Hugging Face cache whose links were lost in copying is made anew.
  static func place(_ entry: Entry, _ scratch: ScratchFolder) throws -> String {
    let list = folder.appending(path: "folders/hf-cache-links.json")
    guard entry.file.contains("hf-cache"), let data = try? Data(contentsOf: list),
      let links = try JSONSerialization.jsonObject(with: data) as? [String: String]
    else { return path(entry.file) }
    let copy = scratch.file("set")
    try FileManager.default.createDirectory(atPath: copy + "/folders", withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: path("folders/hf-cache"), toPath: copy + "/folders/hf-cache")
    for (name, target) in links {
      try? FileManager.default.removeItem(atPath: "\(copy)/\(name)")
      try FileManager.default.createSymbolicLink(atPath: "\(copy)/\(name)", withDestinationPath: target)
    }
    return "\(copy)/\(entry.file)"
  }

  static func additions(_ entry: Entry) -> ModelAdditions {
    var additions = ModelAdditions()
    additions.configuration = entry.config.map { path($0) }
    return additions
  }
}

/// Weights that have names and extents alone, as a table of tab-separated lines lists them.
struct TableWeights: WeightSource {
  let origin: String
  let table: [String: (type: String, shape: [Int])]

  init(path: String) throws {
    origin = path
    var table: [String: (type: String, shape: [Int])] = [:]
    for line in try String(contentsOf: URL(filePath: path), encoding: .utf8).split(separator: "\n") {
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
      guard fields.count >= 3 else { continue }
      table[String(fields[0])] = (String(fields[1]), fields[2].split(separator: ",").compactMap { Int($0) })
    }
    self.table = table
  }

  var files: [String] { [] }
  var names: [String] { table.keys.sorted() }
  func shape(of name: String) -> [Int]? { table[name]?.shape }
  func typeName(of name: String) -> String? { table[name]?.type }
  func holdsFloats(_ name: String) -> Bool { table[name].map { $0.type.contains("F") } ?? false }

  func elements(_ name: String) throws(FileError) -> WeightElements {
    WeightElements(Buffer(repeating: 0, count: shape(of: name)?.reduce(1, *) ?? 0))
  }
}
