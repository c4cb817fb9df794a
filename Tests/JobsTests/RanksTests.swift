import Checkpoints
import Distribution
import Foundation
import Kernels
import TestSupport
import Testing

/// Several processes on one run, as `mpirun` starts them.
@Suite(.serialized, .enabled(if: Program.hasRanks, "needs a build with MPI and mpirun: make test MPI=1"))
struct RanksTests {
  private let recipe = ["--recipe", "recipes/smoke.json", "--set", "evaluation.timesteps=[500]"]

  private func run(_ folder: String, ranks: Int, _ arguments: [String] = []) throws {
    let result = try Program.run(recipe + arguments + ["--output", folder], ranks: ranks)
    #expect(result.status == 0, "\(result.errors)")
  }

  private func checkpoint(_ folder: String) throws -> Data {
    try Data(contentsOf: URL(filePath: folder + "/state.h5"))
  }

  private static let soft = ["clustering.hardShare=0", "clustering.polishShare=0"]

  /// The same batch in one process and in two.
  ///
  /// Gradients are sums in another order: rounding of 6e-8, through four steps of Adam, whose first divide each
  /// gradient by its own size. Where a true gradient is near zero, an element may so move by the whole rate; hence the
  /// bound on the length of the difference, not on single elements.
  ///
  /// Where entries are rounded to half precision, after the soft steps and in the log's hard loss, one may lie so near
  /// the middle of two such numbers that it becomes the other: losses and norms then move by up to 6e-3. One process with
  /// one thread instead of two shows the same, with other seeds or the same ones.
  @Test(arguments: [
    (soft, 5e-4),
    // Moments in 16 bits are rounded at random: where the last bit of a sum differs, one may round the other way, by a
    // 256th of itself.
    (
      soft + [
        "training.gradientNorm=0", "training.moments=bfloat16", "training.recompute=true", "training.state=file",
      ],
      2e-3
    ),
    (["training.featureWeight=0.5", "clustering.hardShare=0.5", "clustering.polishShare=0"], 1e-2),
    (soft + ["training.guidance.share=0.5", "training.trajectories.share=0.5"], 5e-4),
    ([], 1e-2),
  ])
  func resultsEqualThoseOfOneProcess(settings: [String], bound: Double) throws {
    for seed in [20, 1, 2] {
      let errors = try self.errors(seed: seed, settings)
      #expect(errors.steps < bound && errors.line < 1e-2, "seed \(seed): \(errors)")
    }
  }

  /// The largest relative differences, between one process and two, of all steps' losses and gradient norms and of the
  /// log's last line, with its hard loss; what else they leave is compared here.
  private func errors(seed: Int, _ settings: [String]) throws -> (steps: Double, line: Double) {
    let settings = (settings + ["seed=\(seed)"]).flatMap { ["--set", $0] }
    let scratch = try ScratchFolder()
    let (alone, both) = (scratch.file("alone"), scratch.file("both"))
    try run(alone, ranks: 1, settings)
    try run(both, ranks: 2, settings)
    let expected = try CheckpointFile.read(from: alone + "/state.h5").arrays
    let found = try CheckpointFile.read(from: both + "/state.h5").arrays
    #expect(found.keys.sorted() == expected.keys.sorted())
    var errors = (steps: 0.0, line: 0.0)
    for name in ["losses/loss", "losses/gradient_norm"] {
      let (x, y) = (try #require(found[name]?.doubles), try #require(expected[name]?.doubles))
      for (x, y) in zip(x, y) { errors.steps = max(errors.steps, abs(x / y - 1)) }
    }
    var (difference, length) = (0.0, 0.0)
    for (name, array) in expected where name.hasPrefix("parameters/") {
      let (x, y) = (try #require(found[name]?.floats), try #require(array.floats))
      for (x, y) in zip(x.elements, y.elements) {
        difference += Double(x - y) * Double(x - y)
        length += Double(y) * Double(y)
      }
    }
    #expect((difference / length).squareRoot() < 1e-4)
    let log = try [alone, both].map { try String(contentsOfFile: $0 + "/log.jsonl", encoding: .utf8) }
    #expect(log[0].split(separator: "\n").count == log[1].split(separator: "\n").count)
    let lines = try log.map { try lastLine($0) }
    for key in ["hardLoss", "loss", "gradientNorm"] {
      let (x, y) = (try #require(lines[0][key] as? Double), try #require(lines[1][key] as? Double))
      errors.line = max(errors.line, abs(x / y - 1))
    }
    let signals = try lines.map { try #require($0["signalToNoise"] as? [String: Double]) }
    #expect(signals[0].keys == signals[1].keys)
    // In dB, printed with two digits.
    for (name, x) in signals[0] { #expect(abs(x - (signals[1][name] ?? 0)) < 0.05, "\(name)") }
    return errors
  }

  private func lastLine(_ log: String) throws -> [String: Any] {
    let line = try #require(log.split(separator: "\n").last)
    return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
  }

  /// Two runs end with the same bits, and so does one that lost a rank and was resumed. It ends soon, not by itself,
  /// and with a whole checkpoint.
  @Test func aLostRankEndsTheJobAndResumingGivesTheSameBits() throws {
    let scratch = try ScratchFolder()
    let (whole, again, lost) = (scratch.file("whole"), scratch.file("again"), scratch.file("lost"))
    try run(whole, ranks: 2)
    try run(again, ranks: 2)
    #expect(try checkpoint(again) == checkpoint(whole))

    for victim in [1, 0] {
      let resume = FileManager.default.fileExists(atPath: lost + "/state.h5") ? ["--resume"] : []
      let log = lost + "/log.jsonl"
      let lines = { (try? String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").count) ?? 0 }
      let before = lines()
      let process = Program.start(recipe + ["--output", lost] + resume, ranks: 2)
      process.standardError = FileHandle.nullDevice
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      while process.isRunning, lines() <= before || Program.ranks(of: process).count < 2 { usleep(5000) }
      // Ascending numbers: the first rank was started first.
      let ranks = Program.ranks(of: process).sorted()
      try #require(ranks.count == 2)
      let killed = Date()
      kill(ranks[victim], SIGKILL)
      process.waitUntilExit()
      #expect(process.terminationReason == .exit && process.terminationStatus != 0)
      #expect(Date().timeIntervalSince(killed) < 20)
      if FileManager.default.fileExists(atPath: lost + "/state.h5") {
        let verified = try Program.run(["verify", lost + "/state.h5"])
        #expect(verified.status == 0, "\(verified.errors)")
      }
    }
    let resume = FileManager.default.fileExists(atPath: lost + "/state.h5") ? ["--resume"] : []
    try run(lost, ranks: 2, resume)
    #expect(try checkpoint(lost) == checkpoint(whole))
  }

  @Test func aRankThatIsAskedToStopStopsAllWithACheckpoint() throws {
    let scratch = try ScratchFolder()
    let folder = scratch.file("run")
    let process = Program.start(
      recipe + ["--output", folder, "--set", "training.checkpointEvery=1000", "--set", "training.steps=1000"], ranks: 2)
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    while process.isRunning, !FileManager.default.fileExists(atPath: folder + "/log.jsonl") { usleep(5000) }
    let ranks = Program.ranks(of: process).sorted()
    try #require(ranks.count == 2)
    kill(ranks[1], SIGTERM)
    process.waitUntilExit()
    #expect(process.terminationStatus != 0)
    #expect(try Program.run(["verify", folder + "/state.h5"]).status == 0)
  }

  @Test func batchesThatCannotBeSharedAreRefused() throws {
    let result = try Program.run(recipe + ["--set", "training.batchSize=3"], ranks: 2)
    #expect(result.status != 0)
    #expect(result.errors.contains("error: training.batchSize: expected a multiple of the 2 processes"))
  }
}

/// A build without MPI says so.
@Suite struct MissingRanksTests {
  @Test(.enabled(if: !Ranks.isBuilt, "this build has MPI"))
  func severalProcessesAreRefused() throws {
    let result = try Program.run(
      ["--recipe", "recipes/smoke.json"], environment: ["OMPI_COMM_WORLD_SIZE": "2"])
    #expect(result.status == 1)
    #expect(
      result.errors == "error: mpirun started 2 processes, but this sdtune was built without MPI: "
        + "build it with `make build MPI=1`\n")
  }
}
