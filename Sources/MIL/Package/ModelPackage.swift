internal import Files
internal import Foundation
internal import Kernels
internal import SwiftProtobuf
internal import Synchronization

/// A Core ML model on disk, opened for reading: an `.mlpackage` folder, or a compiled one (`.mlmodelc`).
///
/// Opening decodes the model and checks every record that the program names in its weight files,
/// which are mapped and never read outside their bounds. Nothing outside the folder is ever opened.
package final class ModelPackage: Sendable {
  package let path: String
  package let model: Model
  /// Whether the program lies there as text, as applications load it.
  package let isCompiled: Bool
  /// The interface as it is written, ranges of sizes included.
  let interface: WireModelDescription
  /// The file that holds the program.
  let modelFile: String
  private let weightFiles = Mutex<[String: WeightFile]>([:])

  /// The largest model file that is read, in bytes; programs are a few megabytes, weights lie
  /// elsewhere.
  private static let modelLimit = 256 << 20

  /// A compiled model's program.
  static let textFile = "model.mil"

  /// The largest text that is read, in bytes; Stable Diffusion's are of three megabytes.
  private static let textLimit = 64 << 20

  /// Of a compiled model: what Apple's loader may refuse though it can be read.
  package let doubts: [String]

  package init(_ path: String) throws(MILError) {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.path = path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue
    else {
      throw .file(path: path, reason: "no such folder; .mlpackage and .mlmodelc are folders")
    }
    isCompiled = Self.isCompiled(path)
    (model, interface, modelFile, doubts) =
      isCompiled ? try Self.compiledModel(path) : try Self.packagedModel(path)
    _ = try auditWeights()
  }

  /// Whether a path leads to a package or a compiled model, or is meant to by its ending.
  package static func isPackage(_ path: String) -> Bool {
    let path = parts(of: path).package
    let name = path.hasSuffix("/") ? path.dropLast() : path[...]
    return name.hasSuffix(".mlpackage") || name.hasSuffix(".mlmodelc")
      || FileManager.default.fileExists(atPath: "\(path)/\(Manifest.fileName)") || isCompiled(path)
  }

  /// A package's path, and the function that stands behind a `#` in it.
  package static func parts(of path: String) -> (package: String, function: String?) {
    guard let mark = path.lastIndex(of: "#"), !FileManager.default.fileExists(atPath: path) else { return (path, nil) }
    let name = String(path[path.index(after: mark)...])
    return name.isEmpty || name.contains("/") ? (path, nil) : (String(path[..<mark]), name)
  }

  /// Whether a folder holds a compiled model.
  package static func isCompiled(_ path: String) -> Bool {
    let files = FileManager.default
    return !files.fileExists(atPath: "\(path)/\(Manifest.fileName)")
      && [CompiledDescription.fileName, textFile].contains { files.fileExists(atPath: "\(path)/\($0)") }
  }

  private typealias Contents = (model: Model, interface: WireModelDescription, file: String, doubts: [String])

  private static func packagedModel(_ path: String) throws(MILError) -> Contents {
    guard FileManager.default.fileExists(atPath: "\(path)/\(Manifest.fileName)") else {
      let names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted().prefix(5)
      throw .file(
        path: path,
        reason: "expected a package (.mlpackage) or a compiled model (.mlmodelc), found "
          + (names.isEmpty ? "an empty folder" : "a folder of \(names.joined(separator: ", "))"))
    }
    let manifest = try Manifest(
      read(Manifest.fileName, in: path, package: path, limit: 1 << 20), package: path)
    for item in manifest.itemInfoEntries.values.sorted(by: { $0.path < $1.path }) {
      _ = try resolve("Data/" + item.path, in: path, package: path)
    }
    guard let root = manifest.itemInfoEntries[manifest.rootModelIdentifier] else {
      throw .manifest(package: path, expected: "a root model", found: "none")
    }
    let data = try read("Data/" + root.path, in: path, package: path, limit: modelLimit)
    let message: WireModel
    do {
      message = try WireModel(serializedBytes: data)
    } catch {
      throw .model(
        package: path, expected: "a Core ML model", found: "\(data.count) bytes that do not decode")
    }
    return (try Model(message, package: path), message.description_p, path + "/Data/" + root.path, [])
  }

  private static func compiledModel(_ path: String) throws(MILError) -> Contents {
    for name in [CompiledDescription.fileName, textFile] {
      if case .failure(let refusal) = PackagePath.resolve(name, in: path) {
        throw .file(path: path, reason: "a compiled model has \(name); found \(refusal.reason)")
      }
    }
    let file = path + "/" + textFile
    let description = try CompiledDescription(
      read(CompiledDescription.fileName, in: path, package: path, limit: modelLimit), package: path)
    let text = try read(textFile, in: path, package: path, limit: textLimit)
    var reader = ProgramTextReader([UInt8](text), file: file)
    let program = try reader.program()
    var model = try Model(
      description.description, specificationVersion: description.specificationVersion,
      functions: program.functions, attributes: program.attributes, package: path)
    var doubts = description.doubts(functions: program.functions.count)
    if program.hasShortScalars != ProgramText.Dialect(specificationVersion: model.specificationVersion).hasShortScalars
    {
      doubts.append("the text is not spelt as specification \(model.specificationVersion) is")
    }
    for (name, function) in program.functions {
      // The text has inputs by name, programs and applications as they are described.
      let places = Dictionary(
        model.interface(of: name).inputs.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
      func place(_ input: NamedType) -> (Int, String) { (places[input.name] ?? .max, input.name) }
      model.functions[name]?.inputs = function.inputs.sorted { place($0) < place($1) }
      // Ranges of sizes are in the description too.
      let flexible = model.functions[name]?.attributes.removeValue(forKey: ProgramText.flexibleShapes)
      let described = try FlexibleInput.list(description.description.features(of: name), package: path)
      if let flexible, flexible != FlexibleInput.attribute(described) {
        doubts.append("the sizes that function '\(name)' takes are not those of the description")
      }
    }
    return (model, description.description, file, doubts)
  }

  /// Who compiled a compiled model, such as `coremlc 3520.5.1`; nil if it does not say.
  package var compiler: String? {
    guard isCompiled, case .dictionary(let entries)? = model.attributes["buildInfo"]?.content else { return nil }
    let versions = entries.compactMap { entry -> String? in
      guard case .strings(let key) = entry.key.content, case .strings(let value) = entry.value.content,
        let name = key.first, ProgramText.compilerKeys.contains(name)
      else { return nil }
      return "\(name) \(value.first ?? "")"
    }
    return versions.isEmpty ? nil : versions.joined(separator: ", ")
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
    let file = try WeightFile(place(ofWeightFile: name))
    weightFiles.withLock { $0[name] = file }
    return file
  }

  /// What stands for the folder of the model in names of weight files.
  static let weightPrefix = "@model_path/"

  /// The folder that holds the model file.
  var modelFolder: String { (modelFile as NSString).deletingLastPathComponent }

  func place(ofWeightFile name: String) throws(MILError) -> String {
    guard name.hasPrefix(Self.weightPrefix) else {
      throw .file(
        path: path, reason: "weight file '\(name.prefix(200))' does not begin with \(Self.weightPrefix)")
    }
    switch PackagePath.resolve(String(name.dropFirst(Self.weightPrefix.count)), in: modelFolder) {
    case .failure(let refusal):
      throw .file(path: path, reason: "the program names \(refusal.reason)")
    case .success(let path): return path
    }
  }
}
