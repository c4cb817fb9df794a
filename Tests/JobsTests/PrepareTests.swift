import Foundation
import Pictures
import TestSupport
import Testing

/// Pictures to latents through the program: what is encoded once, what is killed, what is broken.
@Suite(.serialized) struct PrepareTests {
  private let model = ["--model", "checkpoints/emoji-sd"]

  /// Pictures of several shapes with captions.
  private func fill(_ folder: String, _ numbers: Range<Int>) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for number in numbers {
      let (width, height) = (40 + 13 * (number % 7), 50 + 9 * (number % 5))
      let bytes = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 &* (number + 2) ^ ($0 >> 4)) }
      try PNGFile.write(Picture(width: width, height: height, bytes: bytes), to: "\(folder)/p\(number).png")
      try Data("picture number \(number)".utf8).write(to: URL(filePath: "\(folder)/p\(number).txt"))
    }
  }

  private func prepare(_ data: String, _ output: String, _ more: [String] = []) throws -> [String: Any] {
    let result = try Program.run(["prepare", data, "--output", output, "--json"] + model + more)
    #expect(result.status == 0, "\(result.errors)")
    let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    return try #require(json)
  }

  private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(filePath: path)) }

  @Test func whatIsNewIsEncodedAndNothingElse() throws {
    let scratch = try ScratchFolder()
    let (data, cache) = (scratch.file("set"), scratch.file("set.h5"))
    try fill(data, 0..<20)
    let first = try prepare(data, cache)
    #expect(first["missing"] as? Int == 20 && first["training"] as? Int == 19 && first["validation"] as? Int == 1)
    #expect((first["sizes"] as? [Any])?.count ?? 0 > 2)
    let written = try bytes(cache)
    #expect(try prepare(data, cache)["missing"] as? Int == 0)
    #expect(try bytes(cache) == written)
    // Three more, one of them a copy under another name; and one that is gone.
    try fill(data, 20..<22)
    try FileManager.default.copyItem(atPath: data + "/p3.png", toPath: data + "/copy.png")
    try FileManager.default.removeItem(atPath: data + "/p0.png")
    // The copy has its original's latents, unless validation moved to or from it.
    let later = try #require(prepare(data, cache)["missing"] as? Int)
    #expect((2...4).contains(later), "\(later)")
    // The file is a function of the set, not of how it came about.
    _ = try prepare(data, scratch.file("anew.h5"))
    #expect(try bytes(cache) == bytes(scratch.file("anew.h5")))
    #expect(try !scratch.contents.contains { $0.hasSuffix(".parts") || $0.hasSuffix(".partial") })
    #expect(try scratch.contents.contains("set.html"))
    for command in ["inspect", "verify"] {
      let result = try Program.run([command, cache])
      #expect(result.status == 0 && result.output.contains("latents"), "\(result.errors)")
    }
  }

  @Test func killedTwentyTimesEndsWithTheSameBits() throws {
    let scratch = try ScratchFolder()
    let data = scratch.file("set")
    try fill(data, 0..<150)
    let flips = ["--set", "pictures.flip=true", "--set", "pictures.crop=random"]
    let started = Date()
    _ = try prepare(data, scratch.file("whole.h5"), flips)
    let duration = Date().timeIntervalSince(started)
    var generator = SystemRandomNumberGenerator()
    let killed = scratch.file("killed.h5")
    let arguments = ["prepare", data, "--output", killed] + model + flips
    var kills = 0
    while kills < 20 {
      let patience = Double.random(in: 0.02...0.6, using: &generator) * duration
      guard try Program.runAndKill(arguments, after: patience) else {
        kills += 1
        continue
      }
      #expect(try bytes(killed) == bytes(scratch.file("whole.h5")), "after \(kills) kills")
      try FileManager.default.removeItem(atPath: killed)
    }
    _ = try prepare(data, killed, flips)
    #expect(try bytes(killed) == bytes(scratch.file("whole.h5")), "after \(kills) kills")
  }

  /// Every broken file of the fixtures is named; too many of them stop the run before it starts.
  @Test func whatCannotBeUsedIsNamed() throws {
    let scratch = try ScratchFolder()
    let data = scratch.file("set")
    try FileManager.default.copyItem(atPath: PictureFixtures.path("broken"), toPath: data)
    try fill(data, 0..<3)
    let cache = scratch.file("set.h5")
    let refused = try Program.run(["prepare", data, "--output", cache] + model)
    #expect(refused.status != 0)
    #expect(refused.errors.contains("error: \(data): "))
    #expect(refused.errors.contains("more than pictures.unusable allows"))
    #expect(!FileManager.default.fileExists(atPath: cache))
    let list = try String(contentsOfFile: scratch.file("set-unusable.txt"), encoding: .utf8)
    let summary = try prepare(data, cache, ["--set", "pictures.unusable=1"])
    let named = try #require(summary["unusable"] as? [[String: String]]).compactMap { $0["file"] }
    for fixture in try PictureFixtures.cases("broken.json") where fixture["must"] as? String == "refuse" {
      let file = try #require(fixture["file"] as? String)
      #expect(named.contains(file) && list.contains("\(file): "), "\(file)")
    }
    for fixture in try PictureFixtures.cases("broken.json") where fixture["must"] as? String == "accept" {
      #expect(!named.contains(fixture["file"] as? String ?? ""), "\(fixture)")
    }
  }

  /// Sets of which nothing, or one split alone, is left.
  @Test(arguments: ["test", "val", "train"], [1, 3])
  func splitsThatLackPicturesAreRefused(split: String, count: Int) throws {
    let scratch = try ScratchFolder()
    try fill(scratch.file("set/\(split)"), 0..<count)
    let result = try Program.run(["prepare", scratch.file("set"), "--output", scratch.file("set.h5")] + model)
    guard split != "train" || count < 2 else {
      #expect(result.status == 0, "\(result.errors)")
      return
    }
    let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(result.status == 1 && lines.count == 1 && lines[0].contains("expected pictures"), "\(result.errors)")
    #expect(try scratch.contents == ["set"])
  }

  @Test func dryRunWritesNothing() throws {
    let scratch = try ScratchFolder()
    try fill(scratch.file("set"), 0..<6)
    let summary = try prepare(scratch.file("set"), scratch.file("set.h5"), ["--dry-run"])
    #expect(summary["missing"] as? Int == 6 && (summary["seconds"] as? Double ?? -1) > 0)
    #expect((summary["bytes"] as? Int ?? 0) > 6 * 2 * 4 * 4 * 100)
    #expect(try scratch.contents == ["set"])
  }

  @Test func aCacheOfAnotherVAEIsNotTouched() throws {
    let scratch = try ScratchFolder()
    try fill(scratch.file("set"), 0..<3)
    let cache = scratch.file("set.h5")
    _ = try prepare(scratch.file("set"), cache)
    let written = try bytes(cache)
    let result = try Program.run([
      "prepare", scratch.file("set"), "--model", "Tests/References/models/sd1-tiny", "--output", cache,
      "--set", "pictures.resolution=64",
    ])
    #expect(result.status != 0 && result.errors.contains("latents of this model's VAE"), "\(result.errors)")
    #expect(try bytes(cache) == written)
  }

  // MARK: Training

  private func tune(_ output: String, _ settings: [String], _ more: [String] = []) throws -> Program.Result {
    let quick = ["training.steps=4", "evaluation.timesteps=[500]", "evaluation.pictures=2", "training.batchSize=2"]
    return try Program.run(
      ["--recipe", "recipes/smoke.json", "--output", output] + more + (quick + settings).flatMap { ["--set", $0] })
  }

  /// The whole job on a folder: pictures in, package out; and the same from the file that was prepared.
  @Test func foldersAreTuned() throws {
    let scratch = try ScratchFolder()
    let data = scratch.file("set")
    try fill(data, 0..<12)
    let settings = [
      "training.loss=mixture", "training.order=epochs", "pictures.flip=true", "pictures.validation=0.2",
      "pictures.captions.prefix=sks",
    ]
    let first = try tune(scratch.file("first"), settings, ["--data", data])
    #expect(first.status == 0, "\(first.errors)")
    let caches = try FileManager.default.contentsOfDirectory(atPath: scratch.file("latents")).filter {
      $0.hasSuffix(".h5")
    }
    #expect(caches.count == 1)
    let second = try tune(scratch.file("second"), settings, ["--data", scratch.file("latents/\(caches[0])")])
    #expect(second.status == 0, "\(second.errors)")
    let weights = "Unet.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    #expect(try bytes(scratch.file("first/\(weights)")) == bytes(scratch.file("second/\(weights)")))
    // The checkpoint knows the package's size without the data.
    try FileManager.default.removeItem(atPath: data)
    let export = try Program.run([
      "export", "--checkpoint", scratch.file("first/state.h5"), "--output", scratch.file("again.mlpackage"),
    ])
    #expect(export.status == 0, "\(export.errors)")
    #expect(
      try bytes(scratch.file("again.mlpackage/Data/com.apple.CoreML/weights/weight.bin"))
        == bytes(scratch.file("first/\(weights)")))
  }

  @Test func setsWithoutAnyCaptionAreTuned() throws {
    let scratch = try ScratchFolder()
    try fill(scratch.file("set"), 0..<4)
    for number in 0..<4 { try FileManager.default.removeItem(atPath: scratch.file("set/p\(number).txt")) }
    let result = try tune(scratch.file("run"), ["training.loss=diffusion"], ["--data", scratch.file("set")])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains("4 of 4 pictures are trained with the empty prompt"))
  }

  @Test func priorPicturesAreLearnedToo() throws {
    let scratch = try ScratchFolder()
    try fill(scratch.file("own"), 0..<5)
    try fill(scratch.file("prior"), 30..<36)
    let alone = try tune(scratch.file("alone"), ["training.loss=diffusion"], ["--data", scratch.file("own")])
    let both = try tune(
      scratch.file("both"), ["training.loss=diffusion", "prior.data=\(scratch.file("prior"))"],
      ["--data", scratch.file("own")])
    #expect(alone.status == 0 && both.status == 0, "\(both.errors)")
    #expect(try bytes(scratch.file("alone/log.jsonl")) != bytes(scratch.file("both/log.jsonl")))
    let weights = "Unet.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    #expect(try bytes(scratch.file("alone/\(weights)")) != bytes(scratch.file("both/\(weights)")))
  }

  @Test func promptsAloneAreEnough() throws {
    let scratch = try ScratchFolder()
    try scratch.write("prompts.txt", "red heart\n\nblue car\nyellow face\ngreen tree\n")
    let teacher = ["training.teacherSteps=2", "training.latents=teacher"]
    let result = try tune(scratch.file("run"), teacher, ["--data", scratch.file("prompts.txt")])
    #expect(result.status == 0, "\(result.errors)")
    // Neither split's latents are taken for old ones of the other.
    for folder in ["teacher-latents", "teacher-latents-validation"] {
      let kept = try FileManager.default.contentsOfDirectory(atPath: scratch.file("run/\(folder)"))
      #expect(kept == ["part-000000.safetensors"], "\(folder)")
    }
    let refused = try tune(scratch.file("other"), [], ["--data", scratch.file("prompts.txt")])
    #expect(refused.errors.contains("training.latents: expected teacher, where the data is prompts alone"))
  }

  /// Debian's stamps, if they are there (`make stamps` installs them): 785 captioned pictures in every kind of PNG.
  @Test(.enabled(if: PrepareTests.stamps != nil, "tuxpaint-stamps-default is not installed: make stamps"))
  func stampsAreAllPrepared() throws {
    let scratch = try ScratchFolder()
    let summary = try prepare(
      try #require(Self.stamps), scratch.file("stamps.h5"), ["--set", "pictures.captions.missing=skip"])
    #expect((summary["training"] as? Int ?? 0) + (summary["validation"] as? Int ?? 0) == 785)
    #expect((summary["unusable"] as? [Any])?.isEmpty == true)
  }

  private static let stamps: String? = {
    let folder = ProcessInfo.processInfo.environment["SDTUNE_STAMPS"] ?? "/usr/share/tuxpaint/stamps"
    return FileManager.default.fileExists(atPath: folder) ? folder : nil
  }()
}
