import Foundation
import Generation
import Kernels
import Models
import Pictures
import StableDiffusion
import StrictJSON
import TestSupport
import Testing
import WeightFiles

/// One model in several forms gives the same bits, whatever it is used for.
@Suite struct ModelFormsTests {
  private static let files = Program.repository.appending(path: "Tests/ModelsTests/ModelFiles").path
  /// Whole models that pictures can be made with.
  private static let families = ["sd1", "sd2-v", "sdxl"]

  /// Configurations with the tokenizers that single files do not have.
  private func configuration(_ family: String, _ scratch: ScratchFolder) throws -> String {
    let folder = scratch.file("config-\(family)")
    try FileManager.default.copyItem(atPath: "\(Self.files)/config/\(family)", toPath: folder)
    for name in ["tokenizer", "tokenizer_2"] {
      try FileManager.default.copyItem(atPath: Self.files + "/tokenizer", toPath: "\(folder)/\(name)")
    }
    return folder
  }

  /// The model as a diffusers folder: its configurations, and its weights under today's names in single precision.
  private func folder(_ family: String, _ configuration: String, _ scratch: ScratchFolder) throws -> String {
    let folder = scratch.file("folder-\(family)")
    try FileManager.default.copyItem(atPath: configuration, toPath: folder)
    var additions = ModelAdditions()
    additions.configuration = configuration
    let model = try ModelSource("\(Self.files)/checkpoints/\(family).safetensors", additions)
    for part in ModelPart.allCases where model.has(part) {
      let weights = try model.component(part).weights
      let name = ModelPart.textEncoders.contains(part) ? "model" : "diffusion_pytorch_model"
      try SafetensorsWriter.write(
        tensors: weights.names.map { ($0, weights.shape(of: $0) ?? [], try weights.floats($0)) },
        to: "\(folder)/\(part.rawValue)/\(name).safetensors")
    }
    return folder
  }

  private func run(_ arguments: [String]) throws {
    let result = try Program.run(arguments)
    #expect(result.status == 0, "\(arguments.prefix(3)): \(result.errors.suffix(300))")
  }

  @Test(arguments: families)
  func fileAndFolderGiveTheSameBits(family: String) throws {
    let scratch = try ScratchFolder()
    let config = try configuration(family, scratch)
    let forms = [
      ("file", ["\(Self.files)/checkpoints/\(family).safetensors", "--model-config", config]),
      ("folder", [try folder(family, config, scratch)]),
    ]
    for (name, model) in forms {
      try run(
        ["generate", "--models"] + model
          + ["--prompt", "a red heart", "--steps", "3", "--seed", "1", "--output", scratch.file("\(name).png")])
      try run(
        ["convert", "--model"] + model
          + ["--output", scratch.file(name), "--quantize-nbits", "4", "--components", "unet,text-encoder,vae-decoder"]
          + ["--model-version", "m"])
    }
    let pictures = try forms.map { try PictureFile.read(scratch.file("\($0.0).png")).bytes }
    #expect(pictures[0] == pictures[1])
    let packages = try FileManager.default.contentsOfDirectory(atPath: scratch.file("file"))
    #expect(packages.count >= 3)
    for package in packages {
      let weights = "\(package)/Data/com.apple.CoreML/weights/weight.bin"
      let (a, b) = (scratch.file("file/\(weights)"), scratch.file("folder/\(weights)"))
      #expect(try Data(contentsOf: URL(filePath: a)) == Data(contentsOf: URL(filePath: b)), "\(package)")
    }
  }

  private static let shortRun = [
    "training.latents=teacher", "training.teacherPictures=3", "training.teacherSteps=2", "training.steps=3",
    "training.batchSize=2", "evaluation.timesteps=[500]", "evaluation.pictures=1",
  ].flatMap { ["--set", $0] }

  private func prompts(_ scratch: ScratchFolder) throws -> String {
    try scratch.write("prompts.txt", "red heart\nblue cat\ngreen house\nyellow dog\n")
  }

  /// The main job ends with the same program and the same weights.
  @Test(arguments: families)
  func tuningGivesTheSameBits(family: String) throws {
    let scratch = try ScratchFolder()
    let config = try configuration(family, scratch)
    let forms = [
      ("file", ["\(Self.files)/checkpoints/\(family).safetensors", "--model-config", config]),
      ("folder", [try folder(family, config, scratch)]),
    ]
    let data = try prompts(scratch)
    for (name, model) in forms {
      try run(
        ["--recipe", "recipes/smoke.json", "--output", scratch.file(name), "--model"] + model + ["--data", data]
          + Self.shortRun)
    }
    let packages = forms.map { "\(scratch.file($0.0))/Unet.mlpackage" }
    let weights = try packages.map {
      try Data(contentsOf: URL(filePath: $0 + "/Data/com.apple.CoreML/weights/weight.bin"))
    }
    #expect(weights[0] == weights[1])
    let difference = try Program.run(["diff"] + packages)
    #expect(!difference.output.contains("weight ") && !difference.output.contains("operation "), "\(difference.output)")
  }

  /// The main job on a single file, on prompts alone; then its checkpoint in every form, which other commands take.
  @Test func tunesAndExportsASingleFile() throws {
    let scratch = try ScratchFolder()
    let config = try configuration("sd1", scratch)
    let file = "\(Self.files)/checkpoints/sd1.safetensors"
    let lora = "\(Self.files)/lora/kohya-all.safetensors"
    try run(
      [
        "--recipe", "recipes/smoke.json", "--output", scratch.file("run"), "--model", file, "--model-config", config,
        "--data",
      ]
        + [try prompts(scratch), "--lora", lora + ":0.5"] + Self.shortRun)
    let state = scratch.file("run/state.h5")
    for (format, name) in [
      ("diffusers", "diffusers"), ("single-file", "tuned.safetensors"),
      ("safetensors-palettes", "palettes.safetensors"),
    ] {
      try run(["export", "--checkpoint", state, "--format", format, "--output", scratch.file(name)])
    }
    // Both hold what training ended with, under their own names.
    let unet = try WeightFolder(path: scratch.file("diffusers/unet"))
    var additions = ModelAdditions()
    additions.configuration = config
    let single = try ModelSource(scratch.file("tuned.safetensors"), additions).component(.unet).weights
    #expect(single.names == unet.names)
    for name in unet.names {
      #expect(try single.floats(name).bytes == unet.floats(name).bytes, "\(name)")
    }
    let original = try SafetensorsFile(path: file)
    #expect(try SafetensorsFile(path: scratch.file("tuned.safetensors")).names == original.names)
    // The folder is a whole model, and the text encoder in it has the adapter's changes.
    try run(
      ["generate", "--models", scratch.file("diffusers"), "--prompt", "a red heart", "--steps", "2", "--seed", "1"]
        + ["--output", scratch.file("a.png")])
    let palettes = try SafetensorsFile(path: scratch.file("palettes.safetensors"))
    #expect(palettes.metadata["format"] == "sdtune-palettes")
    let layouts = try JSONSerialization.jsonObject(with: Data((palettes.metadata["palettes"] ?? "").utf8))
    for (name, layout) in try #require(layouts as? [String: [String: Any]]) {
      #expect(try Self.decoded(palettes, name, layout) == unet.floats(name).elements, "\(name)")
    }
    for name in unet.names where palettes.contains(name) {
      #expect(try palettes.floats(name).bytes == unet.floats(name).bytes, "\(name)")
    }
    // The model's own folder is not written into.
    let own = scratch.file("diffusers")
    let result = try Program.run(
      ["export", "--checkpoint", state, "--format", "diffusers", "--model", own, "--output", own])
    #expect(result.status != 0 && result.errors.contains("--output: expected another folder"), "\(result.errors)")
  }

  /// A palettized weight as `docs/palettes-format.md` says, of one element an entry and no factors.
  private static func decoded(_ file: SafetensorsFile, _ name: String, _ layout: [String: Any]) throws -> [Float] {
    let shape = try #require(layout["shape"] as? [Int])
    let (bits, axis) = (try #require(layout["bits"] as? Int), try #require(layout["axis"] as? Int))
    let groups = try #require(layout["groups"] as? Int)
    try #require(layout["vector"] as? Int == 1 && !file.contains(name + ".scale"))
    let packed = try file.bytes(name + ".indices")
    let table = try file.floats(name + ".table").elements
    let inner = shape.dropFirst(axis + 1).reduce(1, *)
    return (0..<shape.reduce(1, *)).map { element in
      let index = (0..<bits).reduce(0) { index, bit in
        let place = element * bits + bit
        return index | (Int(packed[place / 8] >> UInt8(place % 8)) & 1) << bit
      }
      let channel = element / inner % shape[axis]
      return table[channel * groups / shape[axis] << bits + index]
    }
  }
}
