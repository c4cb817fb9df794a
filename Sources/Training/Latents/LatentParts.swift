internal import Foundation
internal import Kernels
internal import Synchronization
package import Tensors
internal import WeightFiles

/// Latents on their way to where they are used, a file for each batch of work, so that a run that is killed loses no
/// more than the batch: what pictures encode to, and what the teacher makes of prompts.
///
/// Every file tells what its latents were made of by keys; files of other work, or damaged ones, do not count.
package struct LatentParts: Sendable {
  package let folder: String
  /// Of the work: the model and everything else that decides what a key's latents are.
  private let identity: String
  private var places: [String: Place] = [:]
  private var files = 0
  /// Files of other work, and damaged ones: deleted when the first of this work is written.
  private var stale: [String] = []

  private let opened = OpenedFiles()

  private struct Place: Sendable {
    let path: String
    let index: Int
  }

  /// What a key stands for; arrays by name, such as `mean` `[channels, height, width]`.
  package typealias Item = (key: String, arrays: [(name: String, tensor: Tensor)])

  /// Finds what is there already.
  package init(_ folder: String, identity: String) throws {
    self.folder = folder
    self.identity = identity
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() where name.hasPrefix("part-") {
      guard let number = Int(name.dropFirst(5).prefix { $0 != "." }) else { continue }
      files = max(files, number + 1)
      guard let file = try? SafetensorsFile(path: "\(folder)/\(name)"), file.metadata["identity"] == identity,
        let text = file.metadata["keys"], let keys = try? JSONDecoder().decode([String].self, from: Data(text.utf8))
      else {
        stale.append("\(folder)/\(name)")
        continue
      }
      for (index, key) in keys.enumerated() { places[key] = Place(path: "\(folder)/\(name)", index: index) }
    }
  }

  package func contains(_ key: String) -> Bool { places[key] != nil }

  /// One of a key's arrays; nil if there is none.
  package func read(_ key: String, _ array: String) throws -> Tensor? {
    guard let place = places[key] else { return nil }
    let file = try opened[place.path]
    let name = Self.name(place.index, array)
    guard let shape = file.shape(of: name) else { return nil }
    return Tensor(Shape(shape), try file.floats(name))
  }

  /// Keeps a batch of work.
  package mutating func write(_ items: [Item]) throws {
    guard !items.isEmpty else { return }
    for path in stale { try FileManager.default.removeItem(atPath: path) }
    stale = []
    let path = folder + String(format: "/part-%06d.safetensors", files)
    let keys = String(decoding: try JSONEncoder().encode(items.map(\.key)), as: UTF8.self)
    let tensors = items.enumerated().flatMap { index, item in
      item.arrays.map { (Self.name(index, $0.name), $0.tensor.shape.axes, $0.tensor.buffer) }
    }
    try SafetensorsWriter.write(tensors: tensors, metadata: ["identity": identity, "keys": keys], to: path)
    for (index, item) in items.enumerated() { places[item.key] = Place(path: path, index: index) }
    files += 1
  }

  /// Deletes all of it, when the work has found its last place.
  package func remove() { try? FileManager.default.removeItem(atPath: folder) }

  private static func name(_ index: Int, _ array: String) -> String {
    String(format: "%06d/%@", index, array as NSString)
  }
}

/// Files that are asked again and again, with their headers read once.
private final class OpenedFiles: Sendable {
  private let files = Mutex<[String: SafetensorsFile]>([:])
  /// Beyond it all are let go of: a header takes some 20 KB.
  private static let most = 4096

  subscript(path: String) -> SafetensorsFile {
    get throws {
      if let file = files.withLock({ $0[path] }) { return file }
      let file = try SafetensorsFile(path: path)
      files.withLock { files in
        if files.count >= Self.most { files = [:] }
        files[path] = file
      }
      return file
    }
  }
}
