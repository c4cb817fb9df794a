package import Files
internal import Foundation
package import Kernels
internal import StrictJSON

/// The weights of one diffusers or transformers component, however its folder splits them.
///
/// A folder such as `unet` or `text_encoder` holds `diffusion_pytorch_model.safetensors` or
/// `model.safetensors`, either whole or in shards with an index, and each of those perhaps as an
/// `.fp16` variant. Full precision wins where both exist, weights averaged over training win over `.non_ema` ones,
/// and safetensors win over torch's own `.bin` files.
package struct WeightFolder: WeightSource {
  package let path: String
  private let parts: [any WeightSource]
  /// Index in `parts` for every tensor.
  private let home: [String: Int]

  /// Names by preference; the variants are spelled as diffusers and transformers spell them.
  private static let candidates: [String] = ["safetensors", "bin"].flatMap { format in
    ["", ".fp32", ".bf16", ".fp16", ".non_ema"].flatMap { variant -> [String] in
      let stems = ["diffusion_pytorch_model", format == "bin" ? "pytorch_model" : "model"]
      let whole = stems.map { "\($0)\(variant).\(format)" }
      let indices = stems.flatMap { ["\($0).\(format).index\(variant).json", "\($0)\(variant).\(format).index.json"] }
      return whole + (variant.isEmpty ? stems.map { "\($0).\(format).index.json" } : indices)
    }
  }

  package init(path: String) throws(FileError) {
    self.path = path
    guard let name = Self.candidates.first(where: { Self.exists($0, in: path) }) else {
      let present = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
      throw .noWeights(folder: path, lookedFor: Self.candidates, found: present.sorted())
    }
    if name.hasSuffix(".json") {
      (parts, home) = try Self.openShards(index: name, in: path)
    } else {
      let file = try WeightFile.open(Self.join(path, name))
      parts = [file]
      home = Dictionary(uniqueKeysWithValues: file.names.map { ($0, 0) })
    }
  }

  package var origin: String { path }
  package var files: [String] { parts.flatMap(\.files) }
  package var names: [String] { home.keys.sorted() }

  package func shape(of name: String) -> [Int]? { home[name].flatMap { parts[$0].shape(of: name) } }

  package func typeName(of name: String) -> String? { home[name].flatMap { parts[$0].typeName(of: name) } }

  package func holdsFloats(_ name: String) -> Bool { home[name].map { parts[$0].holdsFloats(name) } ?? false }

  package func elements(_ name: String) throws(FileError) -> WeightElements {
    guard let index = home[name] else { throw .missing(file: path, item: "tensor \(name)") }
    return try parts[index].elements(name)
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
  ) throws(FileError) -> ([any WeightSource], [String: Int]) {
    let indexPath = join(folder, name)
    let shardNames = try readIndex(indexPath)
    var files: [any WeightSource] = []
    var home: [String: Int] = [:]
    for shardName in Set(shardNames.values).sorted() {
      guard exists(shardName, in: folder) else {
        throw .missing(file: indexPath, item: "shard \(shardName) in the folder")
      }
      let file = try WeightFile.open(join(folder, shardName))
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
  private static func readIndex(_ path: String) throws(FileError) -> [String: String] {
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
      guard [".safetensors", ".bin"].contains(where: { shard.hasSuffix($0) }), !shard.hasPrefix("."),
        !shard.contains("/")
      else {
        throw .malformedItem(
          file: path, item: member.key,
          expected: "a plain .safetensors or .bin file name in the same folder", found: "'\(shard)'")
      }
      shards[member.key] = shard
    }
    return shards
  }
}
