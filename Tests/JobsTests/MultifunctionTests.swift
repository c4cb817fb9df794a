import Foundation
import Kernels
import MIL
import MILRuntime
import TestSupport
import Testing

/// One package with several sizes, or with several adapters, as its functions.
@Suite(.serialized) struct MultifunctionTests {
  private static let model = Program.repository.appending(path: "checkpoints/emoji-sd").path
  private static let name = "Stable_Diffusion_version_emoji-sd"

  private func convert(_ model: String, _ words: [String], to output: String) throws {
    let result = try Program.run(
      ["convert", "--model", model, "--quantize-nbits", "4", "--target", "iOS18", "--output", output] + words)
    #expect(result.status == 0, "\(result.errors)")
  }

  /// Elements that depend on their place only.
  private func inputs(_ model: PackageModel) -> [String: NamedTensor] {
    model.inputs.reduce(into: [:]) { inputs, input in
      let shape = input.shape.map { $0 ?? 1 }
      let values = (0..<shape.reduce(1, *)).map { (index: Int) -> Float in Float((index * 7 + 3) % 11) / 8 - 0.5 }
      inputs[input.name] = NamedTensor(shape: shape, elements: Buffer(values))
    }
  }

  /// Each function computes what the package of its own size does, and all of them store their weights once.
  @Test func sizes() throws {
    let scratch = try ScratchFolder()
    let together = scratch.file("together")
    try convert(Self.model, ["--components", "unet,vae-decoder", "--sizes", "16x16,24x16"], to: together)
    for (size, words) in [
      ("16x16", ["--latent-h", "16", "--latent-w", "16"]), ("24x16", ["--latent-h", "24", "--latent-w", "16"]),
    ] {
      let alone = scratch.file(size)
      try convert(Self.model, ["--components", "unet,vae-decoder"] + words, to: alone)
      for part in ["unet", "vae_decoder"] {
        let file = "\(Self.name)_\(part).mlpackage"
        let (one, several) = (
          try PackageModel(path: "\(alone)/\(file)"), try PackageModel(path: "\(together)/\(file)#size_\(size)")
        )
        #expect(one.inputs == several.inputs && one.outputs == several.outputs)
        let (expected, found) = (try one.run(inputs: inputs(one)), try several.run(inputs: inputs(several)))
        for (name, value) in expected {
          #expect(found[name]?.elements.bytes == value.elements.bytes, "\(part) \(size)")
        }
        func weights(_ folder: String) throws -> Int {
          try Data(contentsOf: URL(filePath: "\(folder)/\(file)/Data/com.apple.CoreML/weights/weight.bin")).count
        }
        // Frequencies and tables of places may differ by size, weights do not.
        #expect(try Double(weights(together)) <= 1.02 * Double(weights(alone)))
      }
    }
    let package = "\(together)/\(Self.name)_unet.mlpackage"
    let verified = try Program.run(["verify", package])
    #expect(verified.status == 0, "\(verified.errors)")
    let inspected = try Program.run(["inspect", package])
    #expect(inspected.output.contains("size_16x16, size_24x16"), "\(inspected.output)")
    // The first size is what an application gets that asks for none.
    #expect(try PackageModel(path: package).inputs.first { $0.name == "sample" }?.shape == [2, 4, 16, 16])
    let compiled = try Program.run(["compile", package])
    #expect(compiled.status == 0, "\(compiled.errors)")
    let difference = try Program.run(["diff", package, "\(together)/\(Self.name)_unet.mlmodelc"])
    #expect(difference.status == 0, "\(difference.output)")
    let again = try Program.run(
      [
        "convert", "--model", Self.model, "--quantize-nbits", "4", "--target", "iOS18", "--components",
        "unet,vae-decoder",
        "--sizes", "16x16,24x16", "--output", together,
      ])
    #expect(again.output.contains("up to date") && !again.errors.contains("writing"), "\(again.errors)")
  }

  /// Pictures are made by the functions of their size.
  @Test func generateTakesTheSize() throws {
    let scratch = try ScratchFolder()
    let sizes = [("16x16", 64, 64), ("24x16", 96, 64)]
    let words = ["--components", "text-encoder,unet,vae-decoder", "--bundle-resources-for-swift-cli"]
    try convert(Self.model, words + ["--sizes", "16x16,24x16"], to: scratch.file("both"))
    func picture(_ folder: String, _ size: [String]) throws -> Data {
      let path = scratch.file("picture.png")
      let result = try Program.run(
        [
          "generate", "--models", "\(scratch.file(folder))/Resources", "--prompt", "a red heart", "--steps", "2",
          "--output", path,
        ]
          + size)
      #expect(result.status == 0, "\(result.errors)")
      let bytes = try Data(contentsOf: URL(filePath: path))
      return bytes[try #require(bytes.range(of: Data("IDAT".utf8))).lowerBound...]
    }
    for (name, height, width) in sizes {
      let own = ["--latent-h", "\(height / 4)", "--latent-w", "\(width / 4)"]
      try convert(Self.model, words + own, to: scratch.file(name))
      let size = ["--height", "\(height)", "--width", "\(width)"]
      #expect(try picture("both", size) == picture(name, size), "\(name)")
    }
    #expect(try picture("both", []) == picture("16x16", []))
  }

  /// The model as it is and with a LoRA, in one package.
  @Test func adapters() throws {
    let files = Program.repository.appending(path: "Tests/ModelsTests/ModelFiles").path
    let (model, lora) = ("\(files)/checkpoints/sd1.safetensors", "\(files)/lora/kohya-all.safetensors:0.5")
    let scratch = try ScratchFolder()
    let words = ["--components", "unet", "--model-version", "a"]
    for (folder, more) in [("both", ["--function", "style=\(lora)"]), ("main", []), ("style", ["--lora", lora])] {
      try convert(model, words + more, to: scratch.file(folder))
    }
    let file = "Stable_Diffusion_version_a_unet.mlpackage"
    for function in ["main", "style"] {
      let (one, several) = (
        try PackageModel(path: "\(scratch.file(function))/\(file)"),
        try PackageModel(path: "\(scratch.file("both"))/\(file)", function: function)
      )
      let (expected, found) = (try one.run(inputs: inputs(one)), try several.run(inputs: inputs(several)))
      for (name, value) in expected { #expect(found[name]?.elements.bytes == value.elements.bytes, "\(function)") }
    }
  }

  @Test(arguments: [
    (["--sizes", "16x16"], "--target: expected iOS18"), (["--sizes", "16"], "--sizes"),
    (["--sizes", "16x16", "--latent-h", "16"], "one of --sizes"),
    (["--function", "main=x", "--target", "iOS18"], "--function"),
    (["--sizes", "16x16,16x16", "--target", "iOS18"], "different sizes"),
  ])
  func refusals(words: [String], expected: String) throws {
    let scratch = try ScratchFolder()
    let result = try Program.run(
      ["convert", "--model", Self.model, "--components", "unet", "--output", scratch.path] + words)
    #expect(result.status != 0 && result.errors.contains(expected), "\(result.errors)")
  }
}
