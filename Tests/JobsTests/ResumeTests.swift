import Foundation
import TestSupport
import Testing

/// A run killed at any instant and resumed ends with the bits of one that was never killed: with real processes.
@Suite(.serialized) struct ResumeTests {
  private let recipe = ["--recipe", "recipes/smoke.json"]

  /// Plain palettes, groups of vectors whose entries and factors are learned, and weights and moments in a file.
  @Test(arguments: [
    [],
    ["training.state=file", "training.moments=8-bit", "training.gradientNorm=0"],
    [
      "export.target=iOS18", "clustering.vector=2", "clustering.groupSize=16", "clustering.channelScale=true",
      "clustering.entries=int8", "clustering.gradient=straight-through",
    ],
  ])
  func killedRunsEndWithTheSameBits(settings: [String]) throws {
    let recipe = recipe + settings.flatMap { ["--set", $0] }
    let scratch = try ScratchFolder()
    let whole = scratch.file("whole")
    let started = Date()
    let first = try Program.run(recipe + ["--output", whole])
    #expect(first.status == 0, "\(first.errors)")
    let duration = Date().timeIntervalSince(started)

    var generator = SystemRandomNumberGenerator()
    let killed = scratch.file("killed")
    var kills = 0
    while kills < 6 {
      let resume = FileManager.default.fileExists(atPath: killed + "/state.h5")
      let arguments = recipe + ["--output", killed] + (resume ? ["--resume"] : [])
      let patience = Double.random(in: 0.05...1, using: &generator) * duration
      if try Program.runAndKill(arguments, after: patience) { break }
      kills += 1
    }
    let resume = FileManager.default.fileExists(atPath: killed + "/state.h5")
    let last = try Program.run(recipe + ["--output", killed] + (resume ? ["--resume"] : []))
    #expect(last.status == 0, "after \(kills) kills: \(last.errors)")
    for file in [
      "state.h5", "Unet.mlpackage/Data/com.apple.CoreML/model.mlmodel",
      "Unet.mlpackage/Data/com.apple.CoreML/weights/weight.bin", "Unet.mlpackage/Manifest.json",
    ] {
      let expected = try Data(contentsOf: URL(filePath: "\(whole)/\(file)"))
      let found = try Data(contentsOf: URL(filePath: "\(killed)/\(file)"))
      #expect(found == expected, "\(file) differs after \(kills) kills")
    }
  }

  @Test func stateInAFileChangesNoBit() throws {
    let scratch = try ScratchFolder()
    let packages = try ["memory", "file"].map { state in
      let folder = scratch.file(state)
      let result = try Program.run(
        recipe + ["--output", folder, "--set", "training.state=\(state)", "--set", "training.moments=bfloat16"])
      #expect(result.status == 0, "\(result.errors)")
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(!names.contains { $0.hasPrefix(".scratch") })
      return try Data(contentsOf: URL(filePath: folder + "/Unet.mlpackage/Data/com.apple.CoreML/weights/weight.bin"))
    }
    #expect(packages[0] == packages[1])
  }

  @Test func resumingAFinishedRunOfAnotherRecipeIsRefused() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let short = ["--set", "training.steps=1", "--set", "evaluation.timesteps=[500]"]
    let first = try Program.run(recipe + ["--output", folder] + short)
    #expect(first.status == 0, "\(first.errors)")
    let before = try Data(contentsOf: URL(filePath: folder + "/state.h5"))
    let other = try Program.run(
      recipe + ["--output", folder, "--resume", "--set", "training.steps=2"])
    #expect(other.status != 0)
    #expect(other.errors.contains("the checkpoint is of another recipe"), "\(other.errors)")
    #expect(try Data(contentsOf: URL(filePath: folder + "/state.h5")) == before)
  }

  @Test func truncatedCheckpointIsOneLine() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let short = recipe + ["--output", folder, "--set", "training.steps=1"]
    #expect(try Program.run(short).status == 0)
    let path = folder + "/state.h5"
    let whole = try Data(contentsOf: URL(filePath: path))
    try whole.prefix(whole.count / 2).write(to: URL(filePath: path))
    let result = try Program.run(short + ["--resume"])
    #expect(result.status == 1)
    let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 1 && lines[0].contains("state.h5"), "\(result.errors)")
  }
}
