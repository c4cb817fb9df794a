internal import Foundation
package import Kernels
internal import StrictJSON

/// The weights of one diffusers or transformers component, however its folder splits them.
///
/// A folder such as `unet` or `text_encoder` holds `diffusion_pytorch_model.safetensors` or
/// `model.safetensors`, either whole or in shards with an index, and each of those perhaps as an
/// `.fp16` variant. Full precision wins where both exist.
package struct WeightFolder: Sendable {
  package let path: String
  private let files: [SafetensorsFile]
  /// Index in `files` for every tensor.
  private let home: [String: Int]

  /// Names by preference; the variants are spelled as diffusers and transformers spell them.
  private static let wholeNames = [
    "diffusion_pytorch_model.safetensors", "model.safetensors",
  ]
  private static let indexNames = wholeNames.map { $0 + ".index.json" }
  private static let variantNames = [
    "diffusion_pytorch_model.fp16.safetensors", "model.fp16.safetensors",
  ]
  private static let variantIndexNames = [
    "diffusion_pytorch_model.safetensors.index.fp16.json", "model.safetensors.index.fp16.json",
    "diffusion_pytorch_model.fp16.safetensors.index.json", "model.fp16.safetensors.index.json",
  ]

  package init(path: String) throws(CheckpointError) {
    self.path = path
    let candidates =
      Self.wholeNames + Self.indexNames + Self.variantNames + Self.variantIndexNames
    guard let name = candidates.first(where: { Self.exists($0, in: path) }) else {
      throw .noWeights(folder: path, lookedFor: candidates)
    }
    if name.hasSuffix(".json") {
      (files, home) = try Self.openShards(index: name, in: path)
    } else {
      let file = try SafetensorsFile(path: Self.join(path, name))
      files = [file]
      home = Dictionary(uniqueKeysWithValues: file.names.map { ($0, 0) })
    }
  }

  /// Paths of the files that hold the weights.
  package var filePaths: [String] { files.map(\.path) }

  /// Names of all tensors, sorted.
  package var names: [String] { home.keys.sorted() }

  /// The tensor's extents, or nil if there is none of that name.
  package func shape(of name: String) -> [Int]? {
    home[name].flatMap { files[$0].shape(of: name) }
  }

  package func elementType(of name: String) -> ElementType? {
    home[name].flatMap { files[$0].elementType(of: name) }
  }

  /// The tensor's elements as 32-bit floats; see ``SafetensorsFile/floats(_:)``.
  package func floats(_ name: String) throws(CheckpointError) -> Buffer {
    try file(of: name).floats(name)
  }

  /// The same, widened wherever they are used; see ``SafetensorsFile/elements(_:)``.
  package func elements(_ name: String) throws(CheckpointError) -> WeightElements {
    try file(of: name).elements(name)
  }

  /// The elements of a tensor of integers or truth values.
  package func integers(_ name: String) throws(CheckpointError) -> [Int] {
    try file(of: name).integers(name)
  }

  private func file(of name: String) throws(CheckpointError) -> SafetensorsFile {
    guard let index = home[name] else { throw .missing(file: path, item: "tensor \(name)") }
    return files[index]
  }

  private static func join(_ folder: String, _ name: String) -> String {
    (folder as NSString).appendingPathComponent(name)
  }

  private static func exists(_ name: String, in folder: String) -> Bool {
    FileManager.default.fileExists(atPath: join(folder, name))
  }

  /// Opens every shard an index names and holds the two against each other.
  private static func openShards(
    index name: String, in folder: String
  ) throws(CheckpointError) -> ([SafetensorsFile], [String: Int]) {
    let indexPath = join(folder, name)
    let shardNames = try readIndex(indexPath)
    var files: [SafetensorsFile] = []
    var home: [String: Int] = [:]
    for shardName in Set(shardNames.values).sorted() {
      guard exists(shardName, in: folder) else {
        throw .missing(file: indexPath, item: "shard \(shardName) in the folder")
      }
      let file = try SafetensorsFile(path: join(folder, shardName))
      for tensor in file.names {
        guard shardNames[tensor] == shardName else {
          throw .malformedItem(
            file: indexPath, item: tensor, expected: "the shard that holds it, \(shardName)",
            found: shardNames[tensor] ?? "nothing")
        }
        home[tensor] = files.count
      }
      files.append(file)
    }
    for (tensor, shardName) in shardNames.sorted(by: { $0.key < $1.key })
    where home[tensor] == nil {
      throw .missing(
        file: join(folder, shardName), item: "tensor \(tensor), which \(name) places there")
    }
    return (files, home)
  }

  /// The index's map from tensor to shard.
  private static func readIndex(_ path: String) throws(CheckpointError) -> [String: String] {
    let index = try StrictJSON.read(path)
    guard case .object(let map)? = index["weight_map"]
    else {
      throw .malformed(file: path, expected: "an object with a weight_map", found: index.kind)
    }
    var shards: [String: String] = [:]
    for member in map {
      guard case .string(let shard) = member.value else {
        throw .malformedItem(
          file: path, item: member.key, expected: "the name of a shard",
          found: member.value.kind)
      }
      // An index from a stranger must not reach outside its folder.
      guard shard.hasSuffix(".safetensors"), !shard.hasPrefix("."), !shard.contains("/") else {
        throw .malformedItem(
          file: path, item: member.key,
          expected: "a plain .safetensors file name in the same folder", found: "'\(shard)'")
      }
      shards[member.key] = shard
    }
    return shards
  }
}

extension StrictJSON {
  /// Reads a whole JSON file.
  static func read(_ path: String) throws(CheckpointError) -> StrictJSON {
    let file: MappedFile
    do {
      file = try MappedFile(path)
    } catch {
      throw error.asCheckpointError
    }
    do {
      return try parse(
        file.withBytes(0..<file.count) { bytes in bytes.elements(as: UInt8.self) })
    } catch {
      throw .malformed(
        file: path, expected: "\(error.expected) at line \(error.line), column \(error.column)",
        found: "text that is not JSON")
    }
  }
}
