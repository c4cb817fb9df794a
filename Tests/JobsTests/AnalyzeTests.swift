import Foundation
import Recipes
import TestSupport
import Testing

/// `sdtune analyze` as a user calls it.
@Suite(.serialized) struct AnalyzeTests {
  private let quick = [
    "analyze", "--model", "checkpoints/emoji-sd", "--batches", "1", "--set", "training.batchSize=2", "--set",
    "clustering.minimumElements=40000",
  ]

  @Test func writesARecipeWithinTheBudget() throws {
    let scratch = try ScratchFolder()
    let (first, second) = (scratch.file("a/mixed.json"), scratch.file("b/mixed.json"))
    for folder in ["a", "b"] {
      try FileManager.default.createDirectory(atPath: scratch.file(folder), withIntermediateDirectories: true)
    }
    let apple = scratch.file("apple.json")
    let choice = [
      "--bits", "2", "6", "--group-sizes", "0", "16", "--average-bits", "3",
    ]
    let result = try Program.run(quick + choice + ["--output", first, "--apple-output", apple, "--json"])
    #expect(result.status == 0, "\(result.errors)")
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    let average = try #require(report["averageBits"] as? Double)
    #expect(average <= 3 && average > 2)
    let again = try Program.run(quick + choice + ["--output", second])
    #expect(again.status == 0, "\(again.errors)")
    #expect(FileManager.default.contentsEqual(atPath: first, andPath: second), "the same seed, another recipe")

    let recipe = try read(first)
    let layers = recipe.clustering.layers
    #expect(Set(layers.compactMap(\.bits)) == [2, 6] && layers.map(\.match) == layers.map(\.match).sorted())

    // Apple's form carries bits, not groups.
    let back = scratch.file("a/back.json")
    let taken = try Program.run(
      quick + ["--output", back, "--apple-input", apple, "--set", "export.target=iOS18"])
    #expect(taken.status == 0, "\(taken.errors)")
    let bits = try read(back).clustering.layers.map { [$0.match, "\($0.bits ?? 0)"] }
    #expect(bits == layers.map { [$0.match, "\($0.bits ?? 0)"] })
  }

  /// What was measured serves another budget at once, and is refused where something else would be measured.
  @Test func keepsItsMeasurements() throws {
    let scratch = try ScratchFolder()
    let kept = ["--bits", "2", "4", "--measurements", scratch.file("kept.json")]
    func analyze(_ name: String, _ options: [String]) throws -> Program.Result {
      try Program.run(quick + kept + options + ["--output", scratch.file("\(name).json")])
    }
    let interrupted = Program.start(
      quick + kept + ["--average-bits", "3", "--output", scratch.file("whole.json")])
    interrupted.standardError = FileHandle.nullDevice
    try interrupted.run()
    while interrupted.isRunning, !FileManager.default.fileExists(atPath: scratch.file("kept.json")) { usleep(1000) }
    interrupted.interrupt()
    interrupted.waitUntilExit()
    #expect(interrupted.terminationStatus == 130)
    let (whole, other) = (
      try analyze("whole", ["--average-bits", "3"]), try analyze("other", ["--average-bits", "2.5"])
    )
    #expect(whole.status == 0 && other.status == 0, "\(whole.errors)\(other.errors)")
    #expect(whole.errors.contains("measured") && !other.errors.contains("measured"), "\(other.errors)")
    let anew = try Program.run(
      quick + ["--bits", "2", "4", "--average-bits", "2.5", "--output", scratch.file("anew.json")])
    #expect(anew.status == 0 && anew.output.split(separator: "\n")[0] == other.output.split(separator: "\n")[0])

    let different = try analyze("different", ["--average-bits", "3", "--set", "training.batchSize=4"])
    #expect(different.status == 1 && different.errors.contains("batchSize"), "\(different.errors)")
  }

  /// Pairs of weights beside single ones, which are calibrated, measured by guided answers.
  @Test func vectorsAreChosenToo() throws {
    let scratch = try ScratchFolder()
    let output = scratch.file("pairs.json")
    let result = try Program.run(
      quick + [
        "--bits", "2", "4", "--vectors", "1", "2", "--average-bits", "2.2", "--set", "training.guidance.share=0.5",
        "--set", "clustering.start=calibrated", "--set", "clustering.calibrationSamples=4",
        "--output", output,
      ])
    #expect(result.status == 0, "\(result.errors)")
    let recipe = try read(output)
    #expect(Set(recipe.clustering.layers.compactMap(\.vector)) == [1, 2], "\(result.output)")
    #expect(recipe.export.target == .iOS18 && result.output.contains("for 2 weights"))
  }

  /// As Apple's tools, which leave what their file does not name.
  @Test func whatApplesFileDoesNotNameStaysInHalfPrecision() throws {
    let scratch = try ScratchFolder()
    let apple = try scratch.write(
      "apple.json",
      """
      {"model_version": "emoji", "single_layer": {"4": {"conv_in": [30.5], "metadata": "unfinished"}}, \
      "recipes": {"one": {"conv_in": 6}}}
      """)
    let result = try Program.run(quick + ["--apple-input", apple, "--output", scratch.file("r.json")])
    #expect(result.status == 0, "\(result.errors)")
    #expect(try read(scratch.file("r.json")).clustering.bits == 16)
  }

  /// Groups that do not divide a weight's channels are no candidates of it, and the base recipe's bits are the budget.
  @Test func weightsWithoutSuchGroupsHaveOnePalette() throws {
    let scratch = try ScratchFolder()
    let result = try Program.run(
      quick + ["--bits", "2", "6", "--group-sizes", "48", "--output", scratch.file("r.json"), "--json"])
    #expect(result.status == 0, "\(result.errors)")
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    let average = try #require(report["averageBits"] as? Double)
    #expect(average <= 4 && average > 3)
    #expect(try read(scratch.file("r.json")).clustering.layers.allSatisfy { $0.groupSize == 0 })
  }

  private func read(_ path: String) throws -> Recipe {
    let json = try Data(contentsOf: URL(filePath: path))
    let recipe = try StrictDecoding.decode(Recipe.self, from: json, file: path)
    try recipe.validate()
    return recipe
  }

  @Test func budgetOutOfReachIsOneLine() throws {
    let scratch = try ScratchFolder()
    let result = try Program.run(
      quick + [
        "--bits", "2", "--set", "clustering.minimumElements=100000", "--average-bits", "1", "--output",
        scratch.file("r.json"),
      ])
    #expect(result.status == 1 && result.errors.contains("error: the budget is out of reach"), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: scratch.file("r.json")))
  }
}
