import Foundation
import TestSupport
import Testing

/// A command on files, with what was there before it.
struct FaultCase: Sendable, CustomTestStringConvertible {
  let name: String
  /// Files and folders, each of which is the old or the new one after a fault, and nothing in between.
  let outputs: [String]
  /// Makes in a folder what is there before.
  let prepare: @Sendable (_ folder: String) throws -> Void
  let arguments: @Sendable (_ folder: String) -> [String]

  var testDescription: String { name }

  static let all = [tune, palettize, compile, prepare]

  static let model = References.path("models/sd1-tiny")

  private static func run(_ arguments: [String]) throws {
    let result = try Program.run(arguments)
    #expect(result.status == 0, "\(result.errors)")
  }

  static func tune(_ folder: String, resume: Bool) -> [String] {
    let settings = [
      "training.latents=teacher", "training.teacherPictures=4", "training.teacherSteps=1", "training.steps=2",
      "training.batchSize=1", "evaluation.pictures=1", "evaluation.timesteps=[500]",
    ]
    return ["--recipe", "recipes/smoke.json", "--model", model, "--data", folder + "/prompts.txt"]
      + ["--output", folder + "/run"] + settings.flatMap { ["--set", $0] } + (resume ? ["--resume"] : [])
  }

  /// A run that goes on behind its first checkpoint.
  static let tune = FaultCase(
    name: "tune",
    outputs: ["run/state.h5", "run/Unet.mlpackage"]
  ) { folder in
    try Data("a cat\na dog\na red heart\na house\n".utf8).write(to: URL(filePath: folder + "/prompts.txt"))
    let program = FaultyProgram(folder: folder)
    let second = try program.operations(of: tune(folder, resume: false)).enumerated().filter {
      $1.kind == "create" && $1.path.hasSuffix("state.h5.partial")
    }[1].offset
    try FileManager.default.removeItem(atPath: folder + "/run")
    _ = try program.run(tune(folder, resume: false), .kill, at: second + 1)
    #expect(FileManager.default.fileExists(atPath: folder + "/run/state.h5"))
  } arguments: {
    tune($0, resume: true)
  }

  static let palettize = FaultCase(
    name: "palettize",
    outputs: ["Unet.mlpackage"]
  ) { folder in
    try run(palettize(folder, bits: 6))
  } arguments: {
    palettize($0, bits: 4)
  }

  private static func palettize(_ folder: String, bits: Int) -> [String] {
    ["palettize", "--model", model, "--bits", "\(bits)", "--output", folder + "/Unet.mlpackage"]
  }

  static let compile = FaultCase(
    name: "convert --compiled --zip",
    outputs: ["out/Stable_Diffusion_version_a_b_unet.mlpackage", "out/Resources/Unet.mlmodelc"]
      + ["out/coreml-a_b_split_einsum_compiled.zip"]
  ) { folder in
    try run(convert(folder, bits: 6))
  } arguments: {
    convert($0, bits: 4)
  }

  private static func convert(_ folder: String, bits: Int) -> [String] {
    [
      "convert", "--model", model, "--components", "unet", "--quantize-nbits", "\(bits)", "--model-version", "a/b",
      "--bundle-resources-for-swift-cli", "--compiled", "--zip", "--output", folder + "/out",
    ]
  }

  /// A cache that gets more pictures.
  static let prepare = FaultCase(
    name: "prepare",
    outputs: ["set.h5"]
  ) { folder in
    let pictures = folder + "/pictures"
    try FileManager.default.createDirectory(atPath: pictures, withIntermediateDirectories: true)
    let fixtures = Program.repository.appending(path: "Tests/PicturesTests/Fixtures/decode").path
    let found = try FileManager.default.contentsOfDirectory(atPath: fixtures).filter { $0.hasSuffix(".png") }.sorted()
    for name in found.prefix(4) {
      try FileManager.default.copyItem(atPath: "\(fixtures)/\(name)", toPath: "\(pictures)/\(name)")
    }
    try run(prepare(folder))
    for name in found.dropFirst(4).prefix(2) {
      try FileManager.default.copyItem(atPath: "\(fixtures)/\(name)", toPath: "\(pictures)/\(name)")
    }
  } arguments: {
    prepare($0)
  }

  private static func prepare(_ folder: String) -> [String] {
    [
      "prepare", folder + "/pictures", "--model", model, "--output", folder + "/set.h5", "--set",
      "pictures.unusable=0.9",
    ]
  }
}
