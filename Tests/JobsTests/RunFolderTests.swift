import Foundation
import Jobs
import Kernels
import Recipes
import TestSupport
import Testing
import Training

/// What becomes of what was in a run's folder, and of runs without palettes.
@Suite(.serialized) struct RunFolderTests {
  private let smoke = ["--recipe", "recipes/smoke.json", "--set", "evaluation.timesteps=[500]", "--output"]

  /// The refiner has one text encoder, and five numbers of sizes where SDXL has six.
  @Test func aRefinerIsTunedAfterADryRun() throws {
    let scratch = try ScratchFolder()
    let model = scratch.file("refiner")
    try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
    let whole = References.path("models/sdxl-tiny")
    for (part, source) in [
      ("unet", "refiner"), ("text_encoder_2", "text_encoder_2"), ("tokenizer_2", "tokenizer_2"), ("vae", "vae"),
      ("scheduler", "scheduler"),
    ] {
      try FileManager.default.copyItem(atPath: "\(whole)/\(source)", toPath: "\(model)/\(part)")
    }
    try scratch.write("prompts.txt", "a cat\na dog\na house\n")
    let settings = ["latents=teacher", "teacherPictures=4", "teacherSteps=1", "steps=1", "batchSize=1"]
    let arguments =
      smoke + [scratch.file("run"), "--model", model, "--data", scratch.file("prompts.txt")]
      + settings.flatMap { ["--set", "training." + $0] }
    for more in [["--dry-run"], []] {
      let result = try Program.run(arguments + more)
      #expect(result.status == 0, "\(result.errors)")
    }
  }

  @Test func anUnfinishedCheckpointIsKept() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let kept = folder + "/state-unfinished.h5"
    let long = smoke + [folder, "--set", "training.steps=100000"]
    for seconds in [2.0, 4, 8, 16] where !FileManager.default.fileExists(atPath: folder + "/state.h5") {
      _ = try Program.runAndKill(long, after: seconds)
    }
    let again = try Program.run(smoke + [folder])
    #expect(again.status == 0 && again.errors.contains("kept as \(kept)"), "\(again.errors)")
    #expect(try RunCheckpoint.read(kept).recipe.training.steps == 100_000)
    // A finished one has been exported: it makes way.
    let third = try Program.run(smoke + [folder])
    #expect(third.status == 0 && !third.errors.contains("kept as"), "\(third.errors)")
  }

  /// Polishing begins with fresh moments once, whether there are palettes or not.
  @Test func momentsOfARunWithoutPalettesGrow() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let settings = ["clustering.bits=16", "clustering.polishShare=0.5", "training.gradientNorm=0"]
    let result = try Program.run(smoke + [folder] + settings.flatMap { ["--set", $0] })
    #expect(result.status == 0, "\(result.errors)")
    let state = try RunCheckpoint.read(folder + "/state.h5").state
    let moments = try #require(state.moments["conv_in.weight"])
    guard case .single(let mean, let variance) = moments.values else {
      Issue.record("moments in another form")
      return
    }
    // Behind a single step m² / v is (1 − β₁)² / (1 − β₂), 1 here, for every weight.
    let ratios = zip(mean.elements, variance.elements).map { $0 * $0 / $1 }.filter(\.isFinite)
    #expect(ratios.contains { abs($0 - 1) > 0.05 })
  }

  @Test func trainingIntoItsOwnModelLosesNothing() throws {
    let scratch = try ScratchFolder()
    let model = scratch.file("model")
    try FileManager.default.copyItem(
      at: Program.repository.appending(path: "checkpoints/emoji-sd"), to: URL(filePath: model))
    try FileManager.default.createSymbolicLink(atPath: scratch.file("alias"), withDestinationPath: model)
    let recipe = Program.repository.appending(path: "recipes/models/emoji-sd.json").path
    let settings = [
      "model=\(model)", "data=\(model)/latents.h5", "training.steps=1", "evaluation.timesteps=[500]",
      "evaluation.pictures=2",
    ]
    let words = ["train", "--recipe", recipe, "--output", scratch.file("alias")] + settings.flatMap { ["--set", $0] }
    let result = try Program.run(words)
    #expect(result.status == 0, "\(result.errors)")
    for file in ["unet/config.json", "vae/config.json", "model_index.json"] {
      #expect(FileManager.default.fileExists(atPath: "\(model)/\(file)"), "\(file)")
    }
    let inspected = try Program.run(["inspect", model + "/state.h5"])
    #expect(inspected.status == 0 && inspected.output.contains("1 of 1"), "\(inspected.output) \(inspected.errors)")
  }
}
