internal import CoreMLExport
internal import Foundation
internal import MIL
internal import MILRuntime
package import Models
internal import StableDiffusion

/// A model as Core ML packages, with the names, features and metadata of Apple's converter.
package struct ConvertJob: Sendable {
  /// What was written, and what was current already.
  package struct Outcome: Codable, Sendable {
    package let packages: [Package]
    /// Files of the folder that an application takes, if there is one.
    package let resources: [String]
    /// Of the compiled models, if they were packed.
    package let archive: String?
    /// What remains to be done on a Mac, a line for each package; nothing if they were compiled.
    package let compile: [String]

    package var text: String {
      let lines = packages.flatMap { package in
        [
          String(
            format: "%@: %.3f bits a weight, %d bytes, %@", package.path as NSString,
            package.bitsPerWeight, package.bytes,
            (package.isCurrent ? "up to date" : String(format: "%.1f s", package.seconds)) as NSString)
        ]
          + package.checks.map {
            String(
              format: "  %@: PSNR %.1f dB (Apple's formula: %.1f dB)", $0.output as NSString, $0.psnr,
              $0.applePSNR)
          }
      }
      let commands = compile.isEmpty ? [] : ["on a Mac, or with --compiled here:"] + compile.map { "  " + $0 }
      return (lines + [archive].compactMap { $0 } + commands).joined(separator: "\n")
    }
  }

  /// One package.
  package struct Package: Codable, Sendable {
    package let component: String
    package let path: String
    /// Apple's name for it in a `Resources` folder, without ending.
    package let resource: String
    /// Of the whole package.
    package let bytes: Int
    package let bitsPerWeight: Double
    /// Whether it was there already, made of the same model with the same options, and was left alone.
    package let isCurrent: Bool
    package let seconds: Double
    /// One for each output, if they were asked for.
    package internal(set) var checks: [Check] = []

    init(
      component: String, path: String, resource: String, isCurrent: Bool, since start: Date
    ) throws {
      let weights = try PackageWeights(path: path).weights
      let bytes = weights.reduce(0) { $0 + $1.storedBytes }
      self.component = component
      self.path = path
      self.resource = resource
      self.bytes = try StoredSize.bytes(of: path)
      bitsPerWeight = Double(8 * bytes) / Double(max(1, weights.reduce(0) { $0 + $1.count }))
      self.isCurrent = isCurrent
      seconds = Date().timeIntervalSince(start)
    }
  }

  /// How far a package's output is from the model's.
  package struct Check: Codable, Sendable {
    package let output: String
    /// In dB, peak of the model's output; 200 where nothing differs.
    package let psnr: Double
    /// By the formula of Apple's converter, whose peak is that of the package's output.
    package let applePSNR: Double
  }

  private let model: ModelSource
  private let options: ConvertOptions
  private let layout: PackageLayout

  package init(model: ModelSource, options: ConvertOptions, output: String) throws {
    try options.validate()
    self.model = model
    self.options = options
    layout = PackageLayout(
      output, hubFolder: options.usesHubLayout ? options.attention.hubFolder : nil,
      hasResources: options.bundlesResources)
  }

  /// - Parameter stage: told what is being written.
  package func callAsFunction(stage: (String) -> Void) throws -> Outcome {
    try FileManager.default.createDirectory(
      atPath: layout.packages, withIntermediateDirectories: true)
    for line in model.warnings { stage("warning: \(line)") }
    let components = ModelComponents(model, options)
    try components.checkMixedBits()
    // Everything is looked at before the first package is written.
    let parts = try options.allComponents.map { ($0, try ComponentVariants(model, options).parts(of: $0)) }
    let tokenizer = options.needsTokenizer ? try tokenizer() : nil
    var digests: [String: String] = [:]
    var packages: [Package] = []
    for (component, parts) in parts {
      let policy = try options.policy(for: component)
      for part in parts {
        var (package, fingerprint) = try write(part, policy, digests: &digests, stage: stage)
        if options.checksOutputs { package.checks = try checks(package, part, policy) }
        packages.append(package)
        if component == .unet, options.chunksUNet {
          packages += try chunks(of: package, fingerprint, stage: stage)
        }
      }
    }
    let bundle = PackageBundle(layout, tokenizer: tokenizer, isCompiled: options.compiles)
    if options.compiles { stage("compiling \(packages.count) packages") }
    let resources = try bundle.write(packages)
    var archive: String?
    if options.zips {
      stage("packing the compiled models")
      archive = try bundle.zip(
        resources, named: "coreml-\(components.fileVersion)_\(options.attention.hubFolder)_compiled")
    }
    return Outcome(
      packages: packages, resources: resources, archive: archive,
      compile: options.compiles ? [] : packages.map(bundle.compileCommand))
  }

  /// The first text encoder's, whose vocabulary the others share.
  private func tokenizer() throws -> TokenizerFiles? {
    try model.textEncoders.first.map { try model.tokenizerFiles(of: $0) }
  }

  /// - Parameter digests: of weight files, by path; those that are still unknown are added.
  private func write(
    _ part: ComponentPart, _ policy: PalettePolicy, digests: inout [String: String],
    stage: (String) -> Void
  ) throws -> (Package, PackageFingerprint) {
    let start = Date()
    let path = "\(layout.packages)/\(part.fileName)"
    let export = ExportOptions(
      target: options.target, attention: part.attention ?? options.attention,
      precision: part.precision)
    let fingerprint = try PackageFingerprint(part, policy, export, digests: &digests)
    let isCurrent = fingerprint.isHeld(by: path, component: part.name)
    stage("\(isCurrent ? "up to date:" : "writing") \(path)")
    if !isCurrent {
      let functions = part.variants.map { variant in
        PackageFunction(
          name: variant.function, network: variant.network,
          weights: StreamedWeights(variant.component.weights, policy: policy, precision: part.precision))
      }
      try TracedNetwork.write(functions, options: export, to: path, metadata: fingerprint.added(to: part.metadata))
    }
    let package = try Package(
      component: part.name, path: path, resource: part.resource, isCurrent: isCurrent, since: start)
    return (package, fingerprint)
  }

  /// - Throws: when a package without palettes is further from the model than half precision explains.
  private func checks(
    _ package: Package, _ part: ComponentPart, _ policy: PalettePolicy
  ) throws -> [Check] {
    let checks = try CorrectnessCheck(reference: part.reference)(package)
    if let bad = checks.first(where: { !($0.psnr >= CorrectnessCheck.floor) }), policy.form == nil {
      throw JobError.unusable(
        file: package.path, expected: "output '\(bad.output)' within \(CorrectnessCheck.floor) dB of the model",
        found: String(format: "%.1f dB", bad.psnr))
    }
    return checks
  }

  /// The two halves of a UNet, beside it.
  private func chunks(
    of whole: Package, _ fingerprint: PackageFingerprint, stage: (String) -> Void
  ) throws -> [Package] {
    let start = Date()
    let names = (1...2).map { "\(whole.component)_chunk\($0)" }
    let paths = (1...2).map { "\(whole.path.dropLast(".mlpackage".count))_chunk\($0).mlpackage" }
    let areCurrent = zip(paths, names).allSatisfy { fingerprint.isHeld(by: $0, component: $1) }
    stage("\(areCurrent ? "up to date:" : "writing") \(paths.joined(separator: " and "))")
    if !areCurrent { try PackageChunks(path: whole.path).write(to: paths[0], paths[1]) }
    return try (1...2).map { half in
      try Package(
        component: names[half - 1], path: paths[half - 1], resource: "\(whole.resource)Chunk\(half)",
        isCurrent: areCurrent, since: start)
    }
  }
}
