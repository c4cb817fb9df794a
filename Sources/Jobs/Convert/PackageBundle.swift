internal import Foundation

/// Packages laid out as Apple's Swift package and demo app look for them.
package struct PackageBundle: Sendable {
  /// Apple's names in a `Resources` folder, by component.
  static let resourceNames = [
    "text_encoder": "TextEncoder", "text_encoder_2": "TextEncoder2", "unet": "Unet",
    "unet_chunk1": "UnetChunk1", "unet_chunk2": "UnetChunk2", "control-unet": "ControlledUnet",
    "control-unet_chunk1": "ControlledUnetChunk1", "control-unet_chunk2": "ControlledUnetChunk2",
    "refiner": "UnetRefiner", "refiner_chunk1": "UnetRefinerChunk1",
    "refiner_chunk2": "UnetRefinerChunk2", "vae_decoder": "VAEDecoder",
    "vae_encoder": "VAEEncoder", "safety_checker": "SafetyChecker",
  ]

  /// Puts packages and tokenizer files into `folder`; what lies there under the same names is replaced.
  ///
  /// Files are linked, not copied, where the file system can.
  ///
  /// - Parameter tokenizer: holds `vocab.json` and `merges.txt`; nothing of it is taken if there is no such folder.
  /// - Returns: names of what was put there.
  static func write(
    _ packages: [ConvertJob.Package], tokenizer: String, to folder: String
  ) throws -> [String] {
    let files = FileManager.default
    try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var names: [String] = []
    for package in packages {
      guard let name = resourceNames[package.component] else { continue }
      try place(package.path, at: "\(folder)/\(name).mlpackage")
      names.append("\(name).mlpackage")
    }
    for name in ["vocab.json", "merges.txt"] where files.fileExists(atPath: "\(tokenizer)/\(name)") {
      try place("\(tokenizer)/\(name)", at: "\(folder)/\(name)")
      names.append(name)
    }
    return names
  }

  /// The line that makes of a package what an application loads; it needs a Mac.
  package static func compileCommand(_ package: String, into folder: String) -> String {
    "xcrun coremlcompiler compile '\(package)' '\(folder)'"
  }

  private static func place(_ source: String, at target: String) throws {
    let files = FileManager.default
    if files.fileExists(atPath: target) { try files.removeItem(atPath: target) }
    var isFolder: ObjCBool = false
    _ = files.fileExists(atPath: source, isDirectory: &isFolder)
    guard isFolder.boolValue else {
      // Another file system takes no links.
      do { try files.linkItem(atPath: source, toPath: target) } catch {
        try files.copyItem(atPath: source, toPath: target)
      }
      return
    }
    try files.createDirectory(atPath: target, withIntermediateDirectories: true)
    for name in try files.contentsOfDirectory(atPath: source) {
      try place("\(source)/\(name)", at: "\(target)/\(name)")
    }
  }

  /// Of all files in a package.
  static func bytes(of package: String) throws -> Int {
    let files = FileManager.default
    return try files.subpathsOfDirectory(atPath: package).reduce(0) { sum, name in
      let attributes = try files.attributesOfItem(atPath: "\(package)/\(name)")
      guard attributes[.type] as? FileAttributeType == .typeRegular else { return sum }
      return sum + (attributes[.size] as? Int ?? 0)
    }
  }
}
