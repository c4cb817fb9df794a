import Foundation
import TestSupport
import Testing

/// Commands that are asked to end do so, with a status of their own and nothing half written.
@Suite(.serialized) struct InterruptionTests {
  private static let model = "checkpoints/emoji-sd"

  /// What works for a while, and writes to a folder.
  private static let commands: [@Sendable (String) -> [String]] = [
    { ["--recipe", "recipes/smoke.json", "--output", $0 + "/run", "--set", "training.steps=1000"] },
    { ["convert", "--model", model, "--quantize-nbits", "8", "--output", $0 + "/out"] },
    { ["palettize", "--model", model, "--bits", "8", "--output", $0 + "/Unet.mlpackage"] },
    { ["generate", "--models", model, "--prompt", "cat", "--steps", "500", "--output", $0 + "/cat.png"] },
    { ["analyze", "--model", model, "--data", model + "/latents.h5", "--output", $0 + "/recipe.json"] },
    { ["evaluate", "--reference", model, "--steps", "200", "--output", $0 + "/evaluation"] },
  ]

  @Test(arguments: commands.indices, [SIGINT, SIGTERM, SIGHUP])
  func oneSignalEndsACommand(index: Int, signal: Int32) throws {
    let scratch = try ScratchFolder()
    let process = Program.start(Self.commands[index](scratch.path))
    let errors = Pipe()
    process.standardOutput = FileHandle.nullDevice
    process.standardError = errors
    try process.run()
    Thread.sleep(forTimeInterval: .random(in: 0.3...1.2))
    kill(process.processIdentifier, signal)
    let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 130, "\(text)")
    #expect(text.split(separator: "\n").filter { $0.hasPrefix("error: interrupted") }.count == 1, "\(text)")
    let strays = (FileManager.default.subpaths(atPath: scratch.path) ?? []).filter { $0.contains(".partial") }
    #expect(strays.isEmpty, "\(strays)")
  }

  @Test func aSecondSignalEndsItAtOnce() throws {
    let scratch = try ScratchFolder()
    // Analysis looks up after every weight, which takes longer.
    let process = Program.start(Self.commands[4](scratch.path))
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    Thread.sleep(forTimeInterval: 0.6)
    kill(process.processIdentifier, SIGTERM)
    kill(process.processIdentifier, SIGTERM)
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
  }

  private func smoke(_ folder: String, _ more: [String] = []) -> [String] {
    ["--recipe", "recipes/smoke.json", "--output", folder, "--set", "training.steps=30"]
      + ["--set", "training.checkpointEvery=1000", "--set", "evaluation.pictures=1"] + more
  }

  private func bytes(_ folder: String) throws -> Data { try Data(contentsOf: URL(filePath: folder + "/state.h5")) }

  /// A limit and a request for a checkpoint change no bit of what a run ends with.
  @Test func limitsAndRequests() throws {
    let scratch = try ScratchFolder()
    let (whole, limited, asked) = (scratch.file("whole"), scratch.file("limited"), scratch.file("asked"))
    #expect(try Program.run(smoke(whole)).status == 0)
    let stopped = try Program.run(smoke(limited, ["--time-limit", "0:00:03"]))
    #expect(stopped.status == 130 && stopped.errors.contains("continue with --resume"), "\(stopped.errors)")
    let resumed = try Program.run(smoke(limited, ["--resume", "--time-limit", "1d"]))
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(try bytes(limited) == bytes(whole))

    // The first line of a step says that the run takes signals.
    let (process, errors) = try Program.run(
      smoke(asked, ["--checkpoint-signal", "SIGUSR1"]), untilErrorsContain: "step ")
    kill(process.processIdentifier, SIGUSR1)
    while process.isRunning, !FileManager.default.fileExists(atPath: asked + "/state.h5") { usleep(2000) }
    let early = try Program.run(["inspect", asked + "/state.h5"])
    #expect(early.status == 0 && !early.output.contains("30 of 30"), "\(early.output)")
    _ = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(try bytes(asked) == bytes(whole))
  }

  @Test(arguments: ["--time-limit=1x", "--time-limit=-3", "--time-limit=1:2:3:4", "--checkpoint-signal=KILL"])
  func wrongWishesAreRefused(option: String) throws {
    let scratch = try ScratchFolder()
    let result = try Program.run(smoke(scratch.path, [option]))
    #expect(result.status != 0 && result.errors.contains("expected"), "\(result.errors)")
  }

  /// A lock names who has it; one of a host that has not touched it for a while is nobody's.
  @Test func locksOfOtherHosts() throws {
    let scratch = try ScratchFolder()
    let arguments = smoke(scratch.path, ["--set", "training.steps=1"])
    let lock = try scratch.write(".lock", "elsewhere\n77\n")
    let refused = try Program.run(arguments)
    #expect(refused.status == 1 && refused.errors.contains("process 77 on elsewhere"), "\(refused.errors)")
    #expect(try String(contentsOfFile: lock, encoding: .utf8) == "elsewhere\n77\n")
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSinceNow: -300)], ofItemAtPath: lock)
    let taken = try Program.run(arguments)
    #expect(taken.status == 0, "\(taken.errors)")
    #expect(try Data(contentsOf: URL(filePath: lock)).isEmpty)
  }
}
