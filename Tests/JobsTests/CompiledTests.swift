import Archives
import Foundation
import MIL
import TestSupport
import Testing

/// What applications download, made and used by the commands.
@Suite(.serialized) struct CompiledTests {
  private static let model = Program.repository.appending(path: "checkpoints/emoji-sd").path

  private func picture(_ models: String, _ scratch: ScratchFolder, _ words: [String] = []) throws -> Data {
    let path = scratch.file("picture.png")
    let result = try Program.run(
      ["generate", "--models", models, "--prompt", "a red heart", "--steps", "2", "--seed", "3", "--output", path]
        + words)
    #expect(result.status == 0, "\(result.errors)")
    // The text that names the models stands before the pixels.
    let bytes = try Data(contentsOf: URL(filePath: path))
    let start = try #require(bytes.range(of: Data("IDAT".utf8)))
    return bytes[start.lowerBound...]
  }

  /// Packages, a folder of compiled models and the archive of it give the same picture.
  @Test func compiledModelsAndTheirArchive() throws {
    let scratch = try ScratchFolder()
    let output = scratch.file("out")
    let result = try Program.run([
      "convert", "--model", Self.model, "--components", "text-encoder,unet,vae-decoder", "--chunk-unet",
      "--quantize-nbits", "4", "--hub-layout", "--compiled", "--zip", "--model-version", "a/b", "--output", output,
    ])
    #expect(result.status == 0 && !result.output.contains("on a Mac"), "\(result.errors)")
    let compiled = output + "/split_einsum/compiled"
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: compiled).sorted() == [
        "TextEncoder.mlmodelc", "Unet.mlmodelc", "UnetChunk1.mlmodelc", "UnetChunk2.mlmodelc", "VAEDecoder.mlmodelc",
        "merges.txt", "vocab.json",
      ])
    let archive = output + "/coreml-a_b_split_einsum_compiled.zip"
    #expect(result.output.contains(archive))
    let expected = try picture(output, scratch)
    #expect(try picture(compiled, scratch) == expected)
    #expect(try picture(archive, scratch) == expected)
    let chunks = try picture(output, scratch, ["--unet", compiled + "/UnetChunk1.mlmodelc"])
    #expect(
      try picture(
        output, scratch,
        ["--unet", output + "/split_einsum/packages/Stable_Diffusion_version_a_b_unet_chunk1.mlpackage"]) == chunks)
    for command in ["inspect", "verify"] {
      let result = try Program.run([command, compiled + "/Unet.mlmodelc"])
      #expect(result.status == 0 && result.output.contains("compiled Core ML model"), "\(result.errors)")
    }
    let package = output + "/split_einsum/packages/Stable_Diffusion_version_a_b_unet.mlpackage"
    let difference = try Program.run(["diff", package, compiled + "/Unet.mlmodelc"])
    #expect(difference.status == 0 && difference.output.contains("no difference"), "\(difference.output)")
  }

  @Test func compile() throws {
    let scratch = try ScratchFolder()
    let result = try Program.run(
      ["convert", "--model", Self.model, "--components", "vae-encoder", "--output", scratch.path])
    #expect(result.status == 0, "\(result.errors)")
    let name = "Stable_Diffusion_version_emoji-sd_vae_encoder"
    #expect(try Program.run(["compile", scratch.file(name + ".mlpackage/")]).status == 0)
    #expect(try scratch.contents == [name + ".mlmodelc", name + ".mlpackage"])
    #expect(try Program.run(["compile", scratch.file(name + ".mlpackage"), "--output", scratch.file("b")]).status == 0)
    #expect(try ModelPackage(scratch.file("b/\(name).mlmodelc")).isCompiled)
    try FileManager.default.removeItem(atPath: scratch.file("b"))
    try FileManager.default.removeItem(atPath: scratch.file(name + ".mlmodelc"))
    // Beside an archive, not inside of what it was unpacked to.
    try ZipWriter.write(scratch.file(name + ".mlpackage"), named: name + ".mlpackage", to: scratch.file("P.zip"))
    #expect(try Program.run(["compile", scratch.file("P.zip")]).status == 0)
    #expect(try scratch.contents == ["P.zip", "P.zip.unpacked", name + ".mlmodelc", name + ".mlpackage"])
    let twice = try Program.run(["compile", scratch.file(name + ".mlmodelc")])
    #expect(twice.status != 0 && twice.errors.contains("compiled already"), "\(twice.errors)")
    let zip = try Program.run(["convert", "--model", Self.model, "--zip", "--output", scratch.path])
    #expect(zip.status != 0 && zip.errors.contains("--compiled"), "\(zip.errors)")
  }

  /// A checkpoint as an application loads it is its package, compiled.
  @Test func exportCompiled() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let words = ["--recipe", "recipes/smoke.json", "--output", folder, "--set", "evaluation.timesteps=[500]"]
    let result = try Program.run(words)
    #expect(result.status == 0, "\(result.errors)")
    let output = scratch.file("Unet.mlmodelc")
    let export = try Program.run(["export", "--checkpoint", folder + "/state.h5", "--compiled", "--output", output])
    #expect(export.status == 0, "\(export.errors)")
    let difference = try Program.run(["diff", folder + "/Unet.mlpackage", output])
    #expect(difference.status == 0, "\(difference.output)")
    #expect(try scratch.contents == ["Unet.mlmodelc", "run"])
  }
}
