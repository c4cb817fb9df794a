internal import Files
internal import Foundation
internal import Kernels
internal import SwiftProtobuf
internal import Synchronization

/// An `.mlpackage` folder, opened for reading.
///
/// Opening decodes the model and checks every record that the program names in its weight files,
/// which are mapped and never read outside their bounds. Nothing outside the folder is ever opened.
package final class ModelPackage: Sendable {
  package let path: String
  package let model: Model
  /// The folder that holds the model file, which `@model_path` stands for.
  private let modelFolder: String
  private let weightFiles = Mutex<[String: WeightFile]>([:])

  /// The largest model file that is read, in bytes; programs are a few megabytes, weights lie
  /// elsewhere.
  private static let modelLimit = 256 << 20

  package init(_ path: String) throws(MILError) {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.path = path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue
    else {
      throw .file(path: path, reason: "no such folder; an .mlpackage is a folder")
    }
    let manifest = try Manifest(
      Self.read(Manifest.fileName, in: path, package: path, limit: 1 << 20), package: path)
    for item in manifest.itemInfoEntries.values.sorted(by: { $0.path < $1.path }) {
      _ = try Self.resolve("Data/" + item.path, in: path, package: path)
    }
    guard let root = manifest.itemInfoEntries[manifest.rootModelIdentifier] else {
      throw .manifest(package: path, expected: "a root model", found: "none")
    }
    let data = try Self.read("Data/" + root.path, in: path, package: path, limit: Self.modelLimit)
    let message: WireModel
    do {
      message = try WireModel(serializedBytes: data)
    } catch {
      throw .model(
        package: path, expected: "a Core ML model", found: "\(data.count) bytes that do not decode")
    }
    model = try Model(message, package: path)
    modelFolder = ((path + "/Data/" + root.path) as NSString).deletingLastPathComponent
    _ = try auditWeights()
  }

  private static func resolve(
    _ relative: String, in folder: String, package: String
  ) throws(MILError) -> String {
    switch PackagePath.resolve(relative, in: folder) {
    case .success(let path): return path
    case .failure(let refusal):
      throw .manifest(package: package, expected: "files inside the package", found: refusal.reason)
    }
  }

  private static func read(
    _ relative: String, in folder: String, package: String, limit: Int
  ) throws(MILError) -> Data {
    let path = try resolve(relative, in: folder, package: package)
    do {
      let file = try MappedFile(path)
      guard file.count <= limit else {
        throw MILError.file(path: path, reason: "\(file.count) bytes, more than \(limit)")
      }
      let content = FileContent(file)
      if [.gitLFSPointer, .webPage].contains(content) {
        throw MILError.file(path: path, reason: "found \(content.inWords)")
      }
      return file.data(0..<file.count)
    } catch let error as MILError {
      throw error
    } catch {
      throw .file(path: path, reason: "cannot be read")
    }
  }

  /// The record that a blob value names.
  package func weights(file name: String, offset: UInt64) throws(MILError) -> WeightRecord {
    try weightFile(name).record(at: offset)
  }

  func weightFile(_ name: String) throws(MILError) -> WeightFile {
    if let known = weightFiles.withLock({ $0[name] }) { return known }
    let prefix = "@model_path/"
    guard name.hasPrefix(prefix) else {
      throw .file(
        path: path, reason: "weight file '\(name.prefix(200))' does not begin with \(prefix)")
    }
    switch PackagePath.resolve(String(name.dropFirst(prefix.count)), in: modelFolder) {
    case .failure(let refusal):
      throw .file(path: path, reason: "the program names \(refusal.reason)")
    case .success(let path):
      let file = try WeightFile(path)
      weightFiles.withLock { $0[name] = file }
      return file
    }
  }
}
