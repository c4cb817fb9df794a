import Foundation
import Generation
import Pictures
import TestSupport
import Testing

/// Pictures from packages alone, made by Apple's tools: `make packages PACKAGES=DIR`.
@Suite struct PackagePipelineTests {
  private static let packages = ProcessInfo.processInfo.environment["SDTUNE_PACKAGES"] ?? ""

  /// A folder with Apple's names for one model's packages, and a tokenizer of single bytes, which is all that the
  /// miniature's vocabulary has.
  private func models(_ unets: [String: String], in folder: String) throws -> ModelSet {
    let manager = FileManager.default
    try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let parts = [
      "TextEncoder": "v1_text_encoder_fp16", "VAEDecoder": "v1_vae_decoder_fp16",
      "VAEEncoder": "v1_vae_encoder_fp16", "SafetyChecker": "v1_safety_checker_fp16",
    ]
    for (name, package) in parts.merging(unets, uniquingKeysWith: { $1 }) {
      try manager.createSymbolicLink(
        atPath: "\(folder)/\(name).mlpackage", withDestinationPath: "\(Self.packages)/\(package).mlpackage")
    }
    let printable = Array(33...126) + Array(161...172) + Array(174...255)
    let others = (0..<256 - printable.count).map { 256 + $0 }
    let symbols = (printable + others).compactMap { Unicode.Scalar($0).map { String($0) } }
    let tokens = symbols + symbols.map { $0 + "</w>" } + ["<|startoftext|>", "<|endoftext|>"]
    let numbers = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) })
    try JSONEncoder().encode(numbers).write(to: URL(filePath: folder + "/vocab.json"))
    try Data("#version: 0.2\n".utf8).write(to: URL(filePath: folder + "/merges.txt"))
    return try ModelSet(folder)
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: packages + "/v1_vae_decoder_fp16.mlpackage")))
  func chunksMakeTheSamePicture() throws {
    let scratch = try ScratchFolder()
    let whole = try models(["Unet": "v1_unet_split_einsum_pal6"], in: scratch.file("whole"))
    let halves = try models(
      ["UnetChunk1": "v1_unet_split_einsum_pal6_chunk1", "UnetChunk2": "v1_unet_split_einsum_pal6_chunk2"],
      in: scratch.file("halves"))
    var request = GenerationRequest(prompt: "a red cat")
    request.steps = 3
    request.skipsSafetyChecker = true
    let first = try #require(try Pipeline(whole, request)().first)
    let second = try #require(try Pipeline(halves, request)().first)
    #expect(first.picture.width == 128)
    // What crosses the cut is rounded to half precision in one and not in the other.
    #expect(Similarity.psnr(second.picture, reference: first.picture) > 40)
    request.compatibility = .apple
    request.skipsSafetyChecker = false
    let apple = try #require(try Pipeline(whole, request)().first)
    #expect(apple.picture != first.picture)
  }

  @Test func halfAUNetIsRefused() throws {
    #expect(throws: GenerationError.self) { try PackageDenoiser("/nowhere/UnetChunk1.mlpackage") }
  }
}
