import Foundation
import TestSupport
import Testing

/// A run killed at any instant and resumed ends with the bits of one that was never killed: with real processes.
@Suite(.serialized) struct ResumeTests {
  private let recipe = ["--recipe", "recipes/smoke.json"]

  /// Plain palettes, calibrated ones, groups of vectors whose entries and factors are learned, weights and moments in a file, and guided
  /// answers at states of samplers.
  @Test(arguments: [
    [],
    ["clustering.start=calibrated", "clustering.calibrationSamples=8"],
    [
      "training.guidance.share=0.5", "training.guidance.weights=picture", "training.trajectories.share=0.75",
      "training.trajectories.steps=5", "training.batchSize=4",
    ],
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

  /// What is made again is logged once, and the report of a run that only had to be evaluated again knows its seconds.
  @Test func logAndReportTellOfTheWholeRun() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let arguments = recipe + ["--output", folder, "--set", "training.checkpointEvery=3"]
    let interrupted = Program.start(arguments)
    interrupted.standardError = FileHandle.nullDevice
    try interrupted.run()
    // The third step's checkpoint, killed after the log's fourth line or before.
    while interrupted.isRunning, !FileManager.default.fileExists(atPath: folder + "/state.h5") { usleep(1000) }
    usleep(20_000)
    if interrupted.isRunning { kill(interrupted.processIdentifier, SIGKILL) }
    interrupted.waitUntilExit()
    let log = URL(filePath: folder + "/log.jsonl")
    try (Data(contentsOf: log) + Data("{\"step\": 4, \"ste".utf8)).write(to: log)
    let resumed = try Program.run(arguments + ["--resume"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    let lines = try String(contentsOf: log, encoding: .utf8)
    #expect(try lines.split(separator: "\n").map { try object($0)["step"] as? Int } == [1, 2, 3, 4])
    let first = try run(folder)
    let again = try Program.run(arguments + ["--resume"])
    #expect(again.status == 0, "\(again.errors)")
    let second = try run(folder)
    for key in ["seconds", "secondsPerStep", "clusteringShare"] {
      let seconds = try #require(first[key] as? Double)
      #expect(seconds > 0 && second[key] as? Double == seconds, "\(key): \(first) \(second)")
    }
  }

  private func object(_ json: some StringProtocol) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
  }

  /// What the report says of the run.
  private func run(_ folder: String) throws -> [String: Any] {
    let report = try object(String(contentsOfFile: folder + "/report.json", encoding: .utf8))
    return try #require(report["run"] as? [String: Any])
  }

  /// A polite kill ends the evaluation too.
  @Test func evaluationIsInterrupted() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let process = Program.start(recipe + ["--output", folder, "--set", "evaluation.pictures=0"])
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    while process.isRunning, !FileManager.default.fileExists(atPath: folder + "/Unet.mlpackage") { usleep(1000) }
    kill(process.processIdentifier, SIGTERM)
    let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    #expect(text.contains("error: interrupted during the evaluation, which --resume begins again"), "\(text)")
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
