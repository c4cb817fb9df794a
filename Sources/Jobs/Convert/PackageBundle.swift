internal import Archives
internal import Files
internal import Foundation
internal import StableDiffusion

/// Packages, compiled or not, laid out as Apple's Swift package and demo app look for them.
struct PackageBundle: Sendable {
  /// Apple's names in a `Resources` folder, by component.
  static let resourceNames = [
    "text_encoder": "TextEncoder", "text_encoder_2": "TextEncoder2", "unet": "Unet",
    "control-unet": "ControlledUnet", "refiner": "UnetRefiner", "vae_decoder": "VAEDecoder",
    "vae_encoder": "VAEEncoder", "safety_checker": "SafetyChecker",
  ]

  /// As Apple's converter makes it of a file name: words with a capital in front, without what separated them.
  static func controlNetResource(_ name: String) -> String {
    var result = ""
    var isInside = false
    for letter in name {
      result += letter.isLetter && !isInside ? letter.uppercased() : letter.lowercased()
      isInside = letter.isLetter
    }
    return result.filter { $0 != "_" && $0 != "-" }
  }

  private let layout: PackageLayout
  private let tokenizer: TokenizerFiles?
  private let isCompiled: Bool

  /// - Parameters:
  ///   - tokenizer: its vocabulary and merges are written; nil for none.
  ///   - isCompiled: whether packages are compiled.
  init(_ layout: PackageLayout, tokenizer: TokenizerFiles?, isCompiled: Bool) {
    self.layout = layout
    self.tokenizer = tokenizer
    self.isCompiled = isCompiled
  }

  /// Puts packages and tokenizer files where an application looks for them; what lies there under the same names is
  /// replaced.
  ///
  /// Files are linked, not copied, where the file system can.
  ///
  /// - Returns: names of what was put there.
  func write(_ packages: [ConvertJob.Package]) throws -> [String] {
    var names: [String] = []
    if isCompiled {
      for package in packages {
        let paths = compiledPaths(package)
        for path in paths { _ = try CompileJob([(package.path, package.path)], output: path)() }
        names.append((paths[0] as NSString).lastPathComponent)
      }
    } else if let folder = layout.resources {
      for package in packages {
        let name = package.resource + ".mlpackage"
        let staged = try StagedFolder("\(folder)/\(name)", kind: "package") { _ in true }
        try FileCopy.copyTree(package.path, to: staged.temporary, linking: true)
        try staged.finish()
        names.append(name)
      }
    }
    for folder in [layout.resources, layout.compiled].compactMap({ $0 }) {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      for (name, contents) in tokenizer?.files ?? [] {
        try AtomicFile(path: "\(folder)/\(name)").write(contents)
        if !names.contains(name) { names.append(name) }
      }
    }
    return names
  }

  /// Under Apple's name where there are folders for it, otherwise beside the package.
  private func compiledPaths(_ package: ConvertJob.Package) -> [String] {
    let folders = [layout.resources, layout.compiled].compactMap { $0 }
    guard !folders.isEmpty else { return [(package.path as NSString).deletingPathExtension + ".mlmodelc"] }
    return folders.map { "\($0)/\(package.resource).mlmodelc" }
  }

  /// Packs the folder of compiled models as Apple's archives on the hub are packed: the folder inside has the archive's name.
  ///
  /// - Parameters:
  ///   - names: what ``write(_:)`` put there; what else lies there stays out.
  ///   - name: of the archive, without its ending.
  /// - Returns: the archive's path.
  func zip(_ names: [String], named name: String) throws -> String? {
    guard isCompiled, let folder = layout.compiled ?? layout.resources else { return nil }
    let path = "\(layout.root)/\(name).zip"
    try ZipWriter.write(folder, items: Set(names), named: name, to: path)
    return path
  }

  /// The line that makes of a package what an application loads; it needs a Mac.
  func compileCommand(_ package: ConvertJob.Package) -> String {
    if let folder = layout.resources {
      let path = "\(folder)/\(package.resource).mlpackage"
      return Self.compileCommand(path, into: (path as NSString).deletingLastPathComponent)
    }
    guard let folder = layout.compiled else {
      return Self.compileCommand(package.path, into: layout.packages)
    }
    let made = ((package.path as NSString).lastPathComponent as NSString).deletingPathExtension
    let wanted = "\(folder)/\(package.resource).mlmodelc"
    let parent = (wanted as NSString).deletingLastPathComponent
    return Self.compileCommand(package.path, into: folder)
      + " && mkdir -p '\(parent)' && rm -rf '\(wanted)' && mv '\(folder)/\(made).mlmodelc' '\(wanted)'"
  }

  private static func compileCommand(_ package: String, into folder: String) -> String {
    "xcrun coremlcompiler compile '\(package)' '\(folder)'"
  }
}
