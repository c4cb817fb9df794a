import CoreMLExport
import Foundation
import Jobs
import MIL
import Models
import TestSupport
import Testing

/// `convert` into a folder that holds packages keeps those that it would write again, and no others.
@Suite struct ConvertFreshnessTests {
  private func convert(
    _ model: String, to output: String, _ change: (inout ConvertOptions) -> Void = { _ in }
  ) throws -> [Bool] {
    var options = ConvertOptions()
    options.components = [.unet]
    options.name = "miniature"
    options.batch = 1
    change(&options)
    return try ConvertJob(model: ModelSource(model), options: options, output: output) { _ in }
      .packages.map(\.isCurrent)
  }

  private func flip(_ byte: Int, of file: String) throws {
    var bytes = try Data(contentsOf: URL(filePath: file))
    bytes[byte < 0 ? bytes.count + byte : byte] ^= 1
    try bytes.write(to: URL(filePath: file))
  }

  @Test func contentDecides() throws {
    let scratch = try ScratchFolder()
    let (model, output) = (scratch.file("model"), scratch.file("out"))
    try FileManager.default.copyItem(atPath: References.path("models/sd1-tiny"), toPath: model)
    let package = output + "/Stable_Diffusion_version_miniature_unet.mlpackage"
    #expect(try convert(model, to: output) == [false])
    #expect(try convert(model, to: output) == [true])
    // The same name, other options.
    #expect(try convert(model, to: output) { $0.attention = .original } == [false])
    #expect(try convert(model, to: output) { $0.latentHeight = 16 } == [false])
    #expect(try convert(model, to: output) { $0.bits = 4 } == [false])
    #expect(try convert(model, to: output) { $0.bits = 4 } == [true])
    // A package that was changed: its weights, its program.
    try flip(-1, of: package + "/Data/com.apple.CoreML/weights/weight.bin")
    #expect(try convert(model, to: output) { $0.bits = 4 } == [false])
    let program = package + "/Data/com.apple.CoreML/model.mlmodel"
    let text = try Data(contentsOf: URL(filePath: program))
    let at = try #require(text.range(of: Data("split-einsum".utf8)))
    try flip(at.upperBound - 1, of: program)
    #expect(try convert(model, to: output) { $0.bits = 4 } == [false])
    try FileManager.default.removeItem(atPath: package + "/Manifest.json")
    #expect(try convert(model, to: output) { $0.bits = 4 } == [false])
    // Another model under the same name.
    try flip(-1, of: model + "/unet/diffusion_pytorch_model.safetensors")
    #expect(try convert(model, to: output) { $0.bits = 4 } == [false])
    #expect(try convert(model, to: output) { $0.bits = 4 } == [true])
  }

  @Test func halvesAreKeptTogether() throws {
    let scratch = try ScratchFolder()
    let model = References.path("models/sd1-tiny")
    func chunks() throws -> [Bool] { try convert(model, to: scratch.path) { $0.chunksUNet = true } }
    #expect(try chunks() == [false, false, false])
    #expect(try chunks() == [true, true, true])
    let name = scratch.file("Stable_Diffusion_version_miniature_unet_chunk")
    try FileManager.default.removeItem(atPath: name + "2.mlpackage")
    try FileManager.default.copyItem(atPath: name + "1.mlpackage", toPath: name + "2.mlpackage")
    #expect(try chunks() == [true, false, false])
    let result = try Program.run([
      "convert", "--model", model, "--model-version", "miniature", "--components", "unet", "--unet-batch-one",
      "--chunk-unet", "--output", scratch.path,
    ])
    #expect(result.errors.contains("up to date: \(scratch.path)/Stable_Diffusion_version_miniature_unet.mlpackage"))
    #expect(!result.errors.contains("writing"))
    #expect(result.output.contains("up to date\n"))
  }

  /// Digests of what is written (`sdtune.content`). When they change, so must `PackageFingerprint.writerVersion`, or
  /// `convert` keeps packages of the old kind.
  @Test func writerVersionIsThatOfTheBytes() throws {
    let scratch = try ScratchFolder()
    let folder = References.path("models/sd1-tiny")
    var options = ConvertOptions()
    options.name = "miniature"
    options.controlNets = [.init(folder: folder + "/controlnet", name: "miniature")]
    let packages = try ConvertJob(model: ModelSource(folder), options: options, output: scratch.path) { _ in }.packages
    var digests: [String: String] = [:]
    for package in packages {
      digests[package.component] = try ModelPackage(package.path).model.metadata.userDefined["sdtune.content"]
    }
    var single = ConvertOptions()
    (single.name, single.components, single.palettized, single.bits) = ("xl", [.vaeDecoder], [.vaeDecoder], 4)
    let large = try ConvertJob(
      model: ModelSource(References.path("models/sdxl-tiny")), options: single, output: scratch.path
    ) { _ in
    }
    digests["xl"] = try ModelPackage(large.packages[0].path).model.metadata.userDefined["sdtune.content"]
    let written = [
      "xl": "88674393d4916b5602a896db2c4d6738", "text_encoder": "adecc63ea62d9ada956ebba762aa32dd",
      "unet": "c15bc26d9986df6ae362e5a2682c221e",
      "vae_decoder": "0f2e36ec4ce985b091367947d154bbd8", "vae_encoder": "778766f61e28fa519070d07af83dd883",
      "controlnet": "69c723a58f3de30112923b0e51ce854c",
    ]
    #expect(digests == written)
  }
}
