internal import Clustering
internal import CoreMLExport
internal import Digests
internal import Files
internal import Foundation
internal import MIL
internal import StableDiffusion
internal import StrictJSON
internal import WeightFiles

/// By what a package is known as the one that would be written: SHA-256 of all that it is made of.
///
/// That is the configuration and the weights (by their files' ``ContentDigest``), the features, the palettes, the
/// program's form and the metadata.
struct PackageFingerprint: Equatable {
  /// Raised when the same model and options give other bytes than before; a test holds it against what is written.
  static let writerVersion = 3
  private static let key = "sdtune.fingerprint"

  private let text: String

  /// - Parameter digests: of files, by path; those that are still unknown are added.
  init(
    _ part: ComponentPart, _ policy: PalettePolicy, _ export: ExportOptions,
    digests: inout [String: String]
  ) throws {
    var lines = [
      "sdtune convert \(Self.writerVersion)", "target \(export.target.rawValue)",
      "attention \(export.attention.rawValue)", "precision \(export.precision)",
    ]
    lines += Self.lines(part.network) + Self.lines(policy) + Self.lines(part.metadata)
    lines += try Self.lines(part.component, &digests)
    if let functions = part.functions {
      lines.append("function \(functions.own)")
      for variant in functions.further {
        lines += ["function \(variant.function)"] + Self.lines(variant.network)
        lines += try Self.lines(variant.component, &digests)
      }
    }
    var hash = SHA256()
    hash.update(Array(lines.joined(separator: "\n").utf8))
    text = hash.finish()
  }

  private static func lines(_ network: TracedNetwork) -> [String] {
    network.inputs.map { "input \($0.name) \($0.type) \($0.shape) \($0.description)" }
      + network.outputs.map { "output \($0.name) \($0.type) \($0.description)" }
  }

  private static func lines(_ component: ModelComponent, _ digests: inout [String: String]) throws -> [String] {
    var lines: [String] = []
    for file in component.weights.files {
      let digest = try digests[file] ?? ContentDigest.ofFile(file)
      digests[file] = digest
      lines.append("file \(digest)")
    }
    return lines + ["configuration \(component.configuration.json.text)"] + component.weights.notes
  }

  private static func lines(_ policy: PalettePolicy) -> [String] {
    guard let form = policy.form else { return ["no palettes"] }
    return [
      "palettes of \(form.bits) bits", "groups of \(form.groupSize ?? 0) on axis \(form.axis)",
      "vectors of \(form.vector)", "scales \(form.channelScale)", "entries \(form.entries)",
      "zero \(form.enforcesZero)", "above \(policy.minimumElements)",
    ] + policy.bits.sorted { $0.key < $1.key }.map { "bits \($0.key) \($0.value)" }
  }

  private static func lines(_ metadata: Metadata) -> [String] {
    [metadata.shortDescription, metadata.author, metadata.version, metadata.license]
      + metadata.userDefined.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
  }

  func added(to metadata: Metadata) -> Metadata {
    var metadata = metadata
    metadata.userDefined[Self.key] = text
    return metadata
  }

  /// Whether the package at a path was made of the same and has not been changed since.
  ///
  /// - Parameter component: of which it is; halves of a UNet have the fingerprint of the whole.
  func isHeld(by path: String, component: String) -> Bool {
    StagedFolder.removeAbandoned(path)
    guard let package = try? ModelPackage(path),
      package.model.metadata.userDefined[Self.key] == text,
      package.model.metadata.userDefined[Metadata.componentKey] == component
    else { return false }
    return (try? package.isAsWritten()) ?? nil ?? false
  }
}
