import Foundation
import Generation
import Pictures
import TestSupport
import Testing

/// Models and packages as they are published: what met them before gave another picture, or none.
@Suite struct PublishedModelTests {
  private func copy(_ model: String, _ scratch: ScratchFolder, to name: String = "model") throws -> String {
    let path = scratch.file(name)
    try FileManager.default.createDirectory(
      atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: References.path("models/\(model)"), toPath: path)
    return path
  }

  private func generate(_ model: String, _ arguments: [String], to path: String) throws -> Picture {
    let result = try Program.run(
      ["generate", "--models", model, "--prompt", "a red heart", "--steps", "4", "--seed", "1", "--output", path]
        + arguments)
    #expect(result.status == 0, "\(result.errors.suffix(300))")
    return try PictureFile.read(path)
  }

  private func refusal(_ arguments: [String]) throws -> String {
    let result = try Program.run(arguments)
    #expect(result.status != 0 && result.status < 126, "\(result.status)")
    let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 1, "\(result.errors)")
    return lines.first.map(String.init) ?? ""
  }

  /// Packages in Apple's layout, whose one vocabulary does not say what fills prompts up: with our notes, and SDXL's without.
  @Test(arguments: ["sdxl-tiny"])
  func packagesFillPromptsUpAsTheModelDoes(model: String) throws {
    let scratch = try ScratchFolder()
    let folder = try copy(model, scratch)
    let convert = try Program.run(
      ["convert", "--model", folder, "--output", scratch.file("out"), "--bundle-resources-for-swift-cli"])
    #expect(convert.status == 0, "\(convert.errors)")
    // Packages have no scheduler beside them: Stable Diffusion's own is taken.
    let sampler = ["--scheduler", "euler", "--spacing", "leading"]
    let native = try generate(folder, sampler, to: scratch.file("folder.png"))
    let packages = try generate(scratch.file("out/Resources"), sampler, to: scratch.file("packages.png"))
    // Half precision; filled up otherwise it is 11 dB.
    #expect(Similarity.psnr(packages, reference: native) > 30)
  }

  @Test func applesPipelineEncodesTheEmptyPrompt() throws {
    let scratch = try ScratchFolder()
    let model = References.path("models/sdxl-tiny")
    let none = try generate(model, ["--compat", "apple"], to: scratch.file("none.png"))
    let empty = try generate(model, ["--compat", "apple", "--negative-prompt", ""], to: scratch.file("empty.png"))
    #expect(none.bytes == empty.bytes)
  }

  /// A bundle of a snapshot of the Hugging Face cache holds contents, and any level of the hub's layout is read back.
  @Test func bundlesHoldContents() throws {
    let scratch = try ScratchFolder()
    let blobs = try copy("sd1-tiny", scratch, to: "models--a--sd/blobs")
    let snapshot = scratch.file("models--a--sd/snapshots/0123")
    for name in try FileManager.default.subpathsOfDirectory(atPath: blobs) {
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: "\(blobs)/\(name)", isDirectory: &isFolder)
      if isFolder.boolValue {
        try FileManager.default.createDirectory(atPath: "\(snapshot)/\(name)", withIntermediateDirectories: true)
      } else {
        try FileManager.default.createDirectory(
          atPath: ("\(snapshot)/\(name)" as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
          atPath: "\(snapshot)/\(name)", withDestinationPath: "\(blobs)/\(name)")
      }
    }
    let convert = try Program.run(
      [
        "convert", "--model", snapshot, "--output", scratch.file("out"), "--bundle-resources-for-swift-cli",
        "--hub-layout",
      ])
    #expect(convert.status == 0, "\(convert.errors)")
    #expect(convert.output.contains("Stable_Diffusion_version_a_sd_unet"))
    let resources = scratch.file("out/split_einsum/Resources")
    for name in ["vocab.json", "merges.txt"] {
      let facts = try FileManager.default.attributesOfItem(atPath: "\(resources)/\(name)")
      #expect(facts[.type] as? FileAttributeType == .typeRegular)
    }
    let pictures = try ["", "/split_einsum", "/split_einsum/packages", "/split_einsum/Resources"].map { level in
      try generate(scratch.file("out") + level, ["--disable-safety"], to: scratch.file("x.png")).bytes
    }
    #expect(Set(pictures).count == 1)
  }

  /// `tokenizer.json` alone, as transformers 5 saves, is read and written out for applications.
  @Test func tokenizerJSONAlone() throws {
    let scratch = try ScratchFolder()
    let model = try copy("sd1-tiny", scratch)
    let usual = try generate(model, ["--disable-safety"], to: scratch.file("usual.png"))
    let folder = model + "/tokenizer"
    let vocabulary = try String(contentsOfFile: folder + "/vocab.json", encoding: .utf8)
    let merges = try String(contentsOfFile: folder + "/merges.txt", encoding: .utf8).split(separator: "\n")
      .filter { !$0.hasPrefix("#version") }.map {
        "\"\($0.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\""))\""
      }
    let json =
      "{\"model\": {\"type\": \"BPE\", \"vocab\": \(vocabulary), \"merges\": [\(merges.joined(separator: ","))]}}"
    for name in ["vocab.json", "merges.txt"] { try FileManager.default.removeItem(atPath: "\(folder)/\(name)") }
    try Data(json.utf8).write(to: URL(filePath: folder + "/tokenizer.json"))
    #expect(try generate(model, ["--disable-safety"], to: scratch.file("new.png")).bytes == usual.bytes)
    let convert = try Program.run(
      ["convert", "--model", model, "--output", scratch.file("out"), "--components", "text-encoder"]
        + ["--bundle-resources-for-swift-cli"])
    #expect(convert.status == 0, "\(convert.errors)")
    #expect(FileManager.default.fileExists(atPath: scratch.file("out/Resources/vocab.json")))
  }

  /// The scheduler's configuration as diffusers saves it, and one of Flax.
  @Test func schedulersAreReadAsTheyAreSaved() throws {
    let scratch = try ScratchFolder()
    let model = try copy("sd1-tiny", scratch)
    let file = URL(filePath: model + "/scheduler/scheduler_config.json")
    for text in [
      #"{"_class_name": "DPMSolverMultistepScheduler", "beta_schedule": "scaled_linear", "lambda_min_clipped": -Infinity}"#,
      #"{"_class_name": "FlaxPNDMScheduler", "beta_schedule": "scaled_linear", "skip_prk_steps": true}"#,
    ] {
      try Data(text.utf8).write(to: file)
      _ = try generate(model, ["--disable-safety"], to: scratch.file("x.png"))
    }
    try Data(#"{"_class_name": "UniPCMultistepScheduler"}"#.utf8).write(to: file)
    let line = try refusal(
      ["generate", "--models", model, "--prompt", "x", "--output", scratch.file("y.png"), "--disable-safety"])
    #expect(line.contains("UniPCMultistepScheduler") && line.contains("--scheduler"))
  }

  /// Whatever a command will need is looked for before it begins.
  @Test func missingPartsAreNamedFirst() throws {
    let scratch = try ScratchFolder()
    let model = try copy("sd1-tiny", scratch)
    _ = try copy("safety-tiny/safety_checker", scratch, to: "model/safety_checker")
    let weights = try FileManager.default.contentsOfDirectory(atPath: model + "/safety_checker").filter {
      $0 != "config.json"
    }
    for name in weights { try FileManager.default.removeItem(atPath: "\(model)/safety_checker/\(name)") }
    let arguments = ["generate", "--models", model, "--prompt", "x", "--steps", "2", "--output", scratch.file("x.png")]
    #expect(try refusal(arguments).contains("safety_checker"))
    try FileManager.default.removeItem(atPath: model + "/vae/config.json")
    #expect(try refusal(arguments + ["--disable-safety"]).contains("vae"))
  }

  /// What half precision cannot hold is refused by name, in every command and before training.
  @Test func weightsBeyondHalfPrecision() throws {
    let scratch = try ScratchFolder()
    let model = try copy("sd1-tiny", scratch)
    let file = try #require(
      FileManager.default.contentsOfDirectory(atPath: model + "/unet").first { $0.hasSuffix(".safetensors") })
    let path = "\(model)/unet/\(file)"
    try Tensor.set("conv_out.bias", to: 70_000, in: path)
    for arguments in [
      ["palettize", "--model", model, "--bits", "4", "--output", scratch.file("a.mlpackage")],
      ["convert", "--model", model, "--components", "unet", "--output", scratch.file("b")],
    ] {
      let line = try refusal(arguments)
      #expect(line.contains("conv_out.bias") && line.contains("70000"), "\(line)")
    }
  }
}

/// Changes one number of a safetensors file.
private enum Tensor {
  static func set(_ name: String, to value: Float, in path: String) throws {
    var data = try Data(contentsOf: URL(filePath: path))
    let length = data.prefix(8).enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
    let header = try #require(JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: Any])
    let entry = try #require(header[name] as? [String: Any])
    let offsets = try #require(entry["data_offsets"] as? [Int])
    try #require(entry["dtype"] as? String == "F32")
    let start = 8 + length + offsets[0]
    data.replaceSubrange(start..<start + 4, with: withUnsafeBytes(of: value.bitPattern.littleEndian) { Data($0) })
    try data.write(to: URL(filePath: path))
  }
}
