import Foundation
import Jobs
import TestSupport
import Testing

/// What a user sees of a mistake: one line, a status that is not 0, nothing written.
@Suite struct ErrorLineTests {
  /// Arguments behind `sdtune`, and what the line must be.
  static let mistakes: [(arguments: [String], line: String)] = [
    (
      ["--recipe", "recipes/none.json"], "error: recipes/none.json: cannot be read: no such file"
    ),
    (
      ["--recipe", "recipes/smoke.json", "--set", "clustering.bitz=4"],
      "error: recipes/smoke.json: clustering.bitz: unknown key; did you mean clustering.bits?"
    ),
    (
      ["--recipe", "recipes/smoke.json", "--set", "training.steps=many"],
      "error: recipes/smoke.json: training.steps: expected a whole number, found 'many'"
    ),
    (
      ["--recipe", "recipes/smoke.json", "--set", "clustering.bits=5"],
      "error: clustering.bits: expected 1, 2, 3, 4, 6, 8 or 16, found 5"
    ),
    (
      ["--recipe", "recipes/smoke.json", "--set", "clustering.bits=3"],
      "error: export.target: expected iOS18, which the palettes of clustering need, found 'iOS16'"
    ),
    (
      ["--recipe", "recipes/smoke.json", "--resume", "--output", "recipes"],
      "error: recipes/state.h5: no checkpoint to resume from: run without --resume first"
    ),
    (["run", "nowhere", "--inputs", "a", "--output", "b"], "error: nowhere: expected an .mlpackage"),
    (["foo"], "error: command: expected tune, prepare, train"),
    (
      ["--recipe", "recipes/smoke.json", "--set", "export.batch=0"],
      "error: export.batch: expected 1 to 64, found 0"
    ),
    (
      ["palettize", "--model", "checkpoints/emoji-sd", "--bits", "1", "--output", "recipes"],
      "error: recipes: it exists and is no package"
    ),
    (["inspect", "README.md"], "error: README.md: expected an .mlpackage"),
    (
      ["generate", "--models", "checkpoints/emoji-sd", "--prompt", "cat", "--output", "nowhere/cat.png"],
      "error: nowhere/cat.png: cannot be written: nowhere is no folder"
    ),
    (
      ["generate", "--models", "checkpoints/emoji-sd", "--prompt", "cat", "--output", "cat.png", "--strength", "0.5"],
      "error: --strength: expected --image with it, found none"
    ),
    (
      ["convert", "--model", "checkpoints/emoji-sd", "--output", "README.md"], "error: README.md: File exists"
    ),
    (
      [
        "generate", "--models", "checkpoints/emoji-sd", "--prompt", "cat", "--output", "cat.png", "--scheduler", "ddim",
        "--karras",
      ],
      "error: --karras: expected dpm-solver or euler as --scheduler, found ddim"
    ),
    (
      [
        "generate", "--models", "checkpoints/emoji-sd", "--prompt", "cat", "--output", "cat.png", "--eta", "0.5",
        "--scheduler", "euler",
      ],
      "error: --eta: expected ddim as --scheduler, found euler"
    ),
    (
      ["evaluate", "--reference", "checkpoints/emoji-sd", "--steps", "2000"],
      "error: --steps: expected 1 to 1000, found 2000"
    ),
    (
      ["evaluate", "--reference", "checkpoints/emoji-sd", "--output", "README.md"],
      "error: README.md: cannot be written"
    ),
    (
      [
        "--recipe", "recipes/smoke.json", "--set", "clustering.prune=0.5", "--set", "clustering.enforceZero=true",
        "--set", "clustering.vector=2",
      ],
      "error: clustering.vector: expected 1 where weights are pruned, found 2"
    ),
    (
      ["train", "--recipe", "recipes/models/emoji-sd.json", "--set", "training.featureWeight=1"],
      "error: training.featureWeight: expected 0: a model from scratch has no teacher"
    ),
    (
      ["convert", "--model", "checkpoints/emoji-sd", "--output", "nowhere", "--palette-group", "8"],
      "error: --palette-group: expected --quantize-nbits with it, found none"
    ),
  ]

  @Test(arguments: mistakes.indices)
  func mistakeIsOneLine(index: Int) throws {
    let mistake = Self.mistakes[index]
    let result = try Program.run(mistake.arguments)
    #expect(result.status != 0)
    let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 1, "\(result.errors)")
    #expect(lines.first?.hasPrefix(mistake.line) ?? false, "\(result.errors)")
  }

  /// A name in a file that has a line end, and what would clear the screen or turn the direction of text, in it.
  @Test func namesInFilesDoNotSteerTheTerminal() throws {
    let scratch = try ScratchFolder()
    let smoke = try String(contentsOf: Program.repository.appending(path: "recipes/smoke.json"), encoding: .utf8)
    let recipe = try scratch.write(
      "recipe.json", smoke.replacing("\"name\"", with: #""bad\nname\u001b[2J\u202e": 1, "name""#))
    let result = try Program.run(["--recipe", recipe])
    #expect(result.status == 1)
    #expect(result.errors.split(whereSeparator: \.isNewline).count == 1)
    #expect(result.errors.contains(#"bad\nname\u{1B}[2J\u{202E}"#), "\(result.errors)")
    #expect("a\tb\ncafé 猫 👩‍🚀 \u{85}".printable(keepsLines: true) == "a\tb\ncafé 猫 👩‍🚀 \\u{0085}")
  }

  @Test func weightsAndModelMustAgree() throws {
    let scratch = try ScratchFolder()
    let unet = "checkpoints/emoji-sd/unet"
    let folder = scratch.file("unet")
    try FileManager.default.copyItem(
      at: Program.repository.appending(path: unet), to: URL(filePath: folder))
    let config = folder + "/config.json"
    let json = try String(contentsOfFile: config, encoding: .utf8)
    let inputs = scratch.file("none.safetensors")
    _ = try scratch.write("none.safetensors", "\u{2}\0\0\0\0\0\0\0{}")
    for (key, from, to, expected) in [
      ("layers", "\"layers_per_block\": 1", "\"layers_per_block\": 2", "is missing"),
      ("cross", "\"cross_attention_dim\": 128", "\"cross_attention_dim\": 64", "should be"),
      (
        "type", "\"mid_block_type\": \"UNetMidBlock2DCrossAttn\"",
        "\"mid_block_type\": \"UNetMidBlock2DSimpleCrossAttn\"", "'mid_block_type' is 'UNetMidBlock2DSimpleCrossAttn'"
      ),
    ] {
      let changed = json.replacingOccurrences(of: from, with: to)
      #expect(changed != json, "\(key)")
      try Data(changed.utf8).write(to: URL(filePath: config))
      let result = try Program.run(
        ["run", folder, "--inputs", inputs, "--output", scratch.file("out.safetensors")])
      #expect(result.status != 0)
      #expect(result.errors.contains(expected), "\(key): \(result.errors)")
    }
  }

  /// `verify` of a model builds its networks and looks at their values.
  @Test func modelsAreVerified() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("model")
    try FileManager.default.copyItem(atPath: References.path("models/sd1-tiny"), toPath: folder)
    #expect(try Program.run(["verify", folder]).status == 0)
    let config = folder + "/unet/config.json"
    let json = try String(contentsOfFile: config, encoding: .utf8)
    let changed = json.replacing("\"layers_per_block\": 1", with: "\"layers_per_block\": 2")
    try #require(changed != json)
    try Data(changed.utf8).write(to: URL(filePath: config))
    let result = try Program.run(["verify", folder])
    #expect(result.status != 0 && result.errors.contains("is missing"), "\(result.errors)")
  }

  @Test func truncatedWeightsAreOneLine() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("unet")
    try FileManager.default.copyItem(
      at: Program.repository.appending(path: "checkpoints/emoji-sd/unet"),
      to: URL(filePath: folder))
    let path = folder + "/diffusion_pytorch_model.safetensors"
    let whole = try Data(contentsOf: URL(filePath: path))
    try whole.prefix(1_000_000).write(to: URL(filePath: path))
    let result = try Program.run(
      ["run", folder, "--inputs", path, "--output", scratch.file("out.safetensors")])
    #expect(result.status == 1)
    #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
    #expect(result.errors.hasPrefix("error: "), "\(result.errors)")
  }
}
