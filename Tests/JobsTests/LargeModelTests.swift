import Checkpoints
import Foundation
import Kernels
import TestSupport
import Testing

/// The main job on a UNet of SDXL's kind, which is told pooled text and picture sizes beside two encoders' states.
@Suite struct LargeModelTests {
  /// Four pictures with captions of any tokens, as many for each encoder as it says.
  private func writeData(_ path: String, _ encoders: KeyValuePairs<String, Int>, side: Int = 8) throws {
    let pictures = 4
    var arrays: [String: CheckpointArray] = [:]
    for (index, split) in ["train", "val"].enumerated() {
      let latents = (0..<pictures * 4 * side * side).map { Float(sin(Double($0 * (index + 3)))) }
      arrays["\(split)/latents"] = CheckpointArray(Buffer(latents), shape: [pictures, 4, side, side])
      for (name, tokens) in encoders {
        arrays["\(split)/\(name)"] = CheckpointArray(
          shape: [pictures, tokens], .integers((0..<pictures * tokens).map { $0 * 7 % 1000 }))
      }
    }
    for (name, tokens) in encoders {
      arrays["empty_\(name)"] = CheckpointArray(shape: [tokens], .integers([Int](repeating: 999, count: tokens)))
    }
    try CheckpointFile.write(CheckpointContents(arrays: arrays), to: path)
  }

  private func recipe(_ scratch: ScratchFolder) throws -> String {
    let model = Program.repository.appending(path: "Tests/References/models/sdxl-tiny").path
    return try scratch.write(
      "large.json",
      """
      {"name": "large", "model": "\(model)", "data": "latents.h5",
       "clustering": {"bits": 4, "minimumElements": 128},
       "training": {"steps": 4, "batchSize": 2},
       "evaluation": {"pictures": 2, "timesteps": [500]}}
      """)
  }

  @Test func tunesExportsAndAgreesWithItsPackage() throws {
    let scratch = try ScratchFolder()
    try writeData(scratch.file("latents.h5"), ["input_ids": 77, "input_ids_2": 77])
    let output = scratch.file("out")
    let result = try Program.run(["--recipe", try recipe(scratch), "--output", output])
    #expect(result.status == 0, "\(result.errors)")
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: output + "/report.json")))
        as? [String: Any])
    let tuned = try #require(report["tuned"] as? [String: Any])
    let (package, soft) = (
      try #require(tuned["epsilonMSE"] as? Double), try #require(tuned["softEpsilonMSE"] as? Double)
    )
    // Random weights: the package, run with the same text and sizes, must answer as the network that it came from.
    #expect(abs(package - soft) < 0.02 * soft, "\(package) \(soft)")
    let psnr = try #require(tuned["psnr"] as? Double)
    #expect(psnr > 25, "\(psnr)")
  }

  @Test func bothEncodersNeedTokens() throws {
    let scratch = try ScratchFolder()
    try writeData(scratch.file("latents.h5"), ["input_ids": 77])
    let result = try Program.run(["--recipe", try recipe(scratch), "--output", scratch.file("out")])
    #expect(result.status != 0)
    #expect(
      result.errors.contains(
        "latents.h5: captions: expected tokens of 2 text encoders, input_ids and input_ids_2, found input_ids alone"),
      "\(result.errors)")
  }

  @Test(arguments: [(77, 50, 8, "input_ids_2: expected 77 tokens"), (77, 77, 7, "latents of 7×7")])
  func refusesWhatTheEndWouldNotTake(first: Int, second: Int, side: Int, line: String) throws {
    let scratch = try ScratchFolder()
    try writeData(scratch.file("latents.h5"), ["input_ids": first, "input_ids_2": second], side: side)
    let result = try Program.run(["--recipe", try recipe(scratch), "--output", scratch.file("out")])
    #expect(result.status != 0 && result.errors.contains(line), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: scratch.file("out") + "/state.h5"))
  }

  /// The recipe's paths lead nowhere from the project.
  @Test func exportsARunOfARecipeThatLiesElsewhere() throws {
    let scratch = try ScratchFolder()
    try writeData(scratch.file("latents.h5"), ["input_ids": 77, "input_ids_2": 77])
    let output = scratch.file("out")
    let run = try Program.run(["--recipe", try recipe(scratch), "--output", output])
    #expect(run.status == 0, "\(run.errors)")
    let words = ["export", "--checkpoint", output + "/state.h5", "--output", scratch.file("again.mlpackage")]
    // The checkpoint knows the package's size; data that is named is asked, as it is for checkpoints of earlier versions.
    for data in [[], ["--data", scratch.file("latents.h5")]] {
      let found = try Program.run(words + data)
      #expect(found.status == 0, "\(found.errors)")
      let difference = try Program.run(["diff", output + "/Unet.mlpackage", scratch.file("again.mlpackage")])
      #expect(difference.status == 0, "\(difference.output)")
    }
    let lost = try Program.run(words + ["--data", scratch.file("nowhere.h5")])
    #expect(lost.status != 0 && lost.errors.contains("nowhere.h5: cannot be read"), "\(lost.errors)")
  }
}
