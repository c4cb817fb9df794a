import Foundation
import Generation
import Jobs
import Pictures
import TestSupport
import Testing

/// `sdtune generate` and `sdtune evaluate` as a user runs them, on the bundled model.
@Suite struct GenerateTests {
  private static let model = "checkpoints/emoji-sd"

  private func generate(_ arguments: [String], to path: String) throws -> Picture {
    let result = try Program.run(
      ["generate", "--models", Self.model, "--output", path, "--steps", "4"] + arguments)
    #expect(result.status == 0, "\(result.errors)")
    return try PictureFile.read(path)
  }

  private func palettized(_ bits: Int, _ scratch: ScratchFolder) throws -> String {
    let path = scratch.file("Unet-\(bits).mlpackage")
    let result = try Program.run(
      ["palettize", "--model", Self.model, "--bits", "\(bits)", "--output", path])
    #expect(result.status == 0, "\(result.errors)")
    return path
  }

  /// The same picture from the folder and from a package of 8-bit palettes, to the palettes' error.
  @Test func folderAndPackageAgree() throws {
    let scratch = try ScratchFolder()
    // Much guidance makes pictures of palettes' errors: it would be measured instead.
    let prompt = ["--prompt", "red heart", "--seed", "7", "--guidance", "2"]
    let folder = try generate(prompt, to: scratch.file("folder.png"))
    let package = try generate(
      prompt + ["--unet", try palettized(8, scratch)], to: scratch.file("package.png"))
    let separate = try generate(prompt + ["--reduce-memory"], to: scratch.file("separate.png"))
    #expect(folder.width == 64 && folder.height == 64)
    #expect(Similarity.psnr(package, reference: folder) > 25)
    // Rows asked one by one: only the order of sums differs.
    #expect(Similarity.psnr(separate, reference: folder) > 60)
  }

  /// Apple draws the noise of all pictures from one seed, one after the other.
  @Test func applesPicturesShareAStreamOfNoise() throws {
    let scratch = try ScratchFolder()
    let prompt = ["--prompt", "red heart", "--compat", "apple", "--scheduler", "dpm-solver"]
    let first = try generate(prompt + ["--seed", "5"], to: scratch.file("first.png"))
    let next = try generate(prompt + ["--seed", "6"], to: scratch.file("next.png"))
    let result = try Program.run(
      ["generate", "--models", Self.model, "--output", scratch.file("two.png"), "--steps", "4", "--count", "2"] + prompt
        + ["--seed", "5"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(try PictureFile.read(scratch.file("two-001.png")) == first)
    #expect(try PictureFile.read(scratch.file("two-002.png")) != next)
  }

  @Test func filesSayHowTheyWereMade() throws {
    let scratch = try ScratchFolder()
    let path = scratch.file("hearts.png")
    let result = try Program.run([
      "generate", "--models", Self.model, "--output", path, "--steps", "3", "--count", "2", "--seed", "41",
      "--prompt", "rødt hjerte", "--negative-prompt", "blue", "--scheduler", "euler", "--preview-every", "1", "--json",
    ])
    #expect(result.status == 0, "\(result.errors)")
    let summary = try JSONDecoder().decode(GenerateJob.Summary.self, from: Data(result.output.utf8))
    #expect(summary.images.map(\.seed) == [41, 42] && summary.scheduler == "euler")
    #expect(result.errors.contains("step 3/3"), "\(result.errors)")
    #expect(FileManager.default.fileExists(atPath: scratch.file("hearts-001-step001.png")))
    let second = try Data(contentsOf: URL(filePath: scratch.file("hearts-002.png")))
    let text = PNGFile.texts(second)["parameters"] ?? ""
    for part in ["rødt hjerte\nNegative prompt: blue\n", "Steps: 3", "Sampler: euler", "Seed: 42", "Size: 64x64"] {
      #expect(text.contains(part), "\(text)")
    }
  }

  /// What is black in the mask does not depend on the prompt; what is white does.
  @Test func inpaintingKeepsTheRest() throws {
    let scratch = try ScratchFolder()
    var (colours, planes): ([UInt8], [UInt8]) = ([], [])
    for row in 0..<64 {
      for column in 0..<64 {
        colours += [UInt8(column * 4), UInt8(row * 4), 128]
        planes += [UInt8](repeating: column < 32 ? 255 : 0, count: 3)
      }
    }
    let start = Picture(width: 64, height: 64, bytes: colours)
    let mask = Picture(width: 64, height: 64, bytes: planes)
    try PNGFile.write(start, to: scratch.file("start.png"))
    try PNGFile.write(mask, to: scratch.file("mask.png"))
    let pictures = try ["red heart", "black cat"].map { prompt in
      try generate(
        [
          "--prompt", prompt, "--image", scratch.file("start.png"), "--mask", scratch.file("mask.png"),
          "--strength", "1",
        ], to: scratch.file("\(prompt).png"))
    }
    func difference(_ columns: Range<Int>) -> Int {
      (0..<64).reduce(0) { sum, row in
        columns.reduce(sum) { sum, column in
          let at = (row * 64 + column) * 3
          return sum + abs(Int(pictures[0].bytes[at]) - Int(pictures[1].bytes[at]))
        }
      }
    }
    // Latents of the kept half are the same (ParityTests); but the decoder's middle attention looks everywhere, and its
    // norms, a channel to a group in the bundled VAE, take the mean and size of the whole picture.
    #expect(difference(48..<64) * 2 < difference(0..<16))
  }

  @Test(arguments: [
    (["--scheduler", "heun"], "--scheduler: expected ddim, pndm, dpm-solver, euler, euler-ancestral, lcm, found heun"),
    (["--width", "61"], "width: expected a multiple of 4, found 61"),
    (["--steps", "0"], "steps: expected 1 to 1000, found 0"),
    (["--image", "README.md"], "README.md: expected a JPEG, PNG or WebP picture, found text"),
    (["--mask", "README.md"], "--mask: expected --image with it, found none"),
    (["--output", "picture.jpg"], "--output: expected a file name that ends in .png, found picture.jpg"),
    (["--unet", "nowhere.mlpackage"], "nowhere.mlpackage: no unet: no such file or folder"),
    (["--models", "docs"], "docs: no unet: expected unet/config.json, Unet.mlpackage or Unet.mlmodelc"),
  ])
  func mistakesAreOneLine(arguments: [String], line: String) throws {
    let scratch = try ScratchFolder()
    var all = ["generate"]
    for (name, value) in [
      ("--models", Self.model), ("--prompt", "a"), ("--output", scratch.file("a.png")), ("--steps", "2"),
    ] where !arguments.contains(name) {
      all += [name, value]
    }
    let result = try Program.run(all + arguments)
    #expect(result.status != 0)
    let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 1 && lines[0].hasPrefix("error: " + line), "\(result.errors)")
  }

  /// Where a model has a safety checker, the vision half of CLIP in it looks at the pictures, too.
  @Test(.enabled(if: References.exists("models/safety-tiny"))) func evaluationAsksCLIP() throws {
    let scratch = try ScratchFolder()
    let model = scratch.file("model")
    try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
    let files = FileManager.default
    for name in try files.contentsOfDirectory(atPath: Program.repository.appending(path: Self.model).path) {
      try files.createSymbolicLink(
        atPath: "\(model)/\(name)",
        withDestinationPath: Program.repository.appending(path: "\(Self.model)/\(name)").path)
    }
    try files.createSymbolicLink(
      atPath: model + "/safety_checker", withDestinationPath: References.path("models/safety-tiny/safety_checker"))
    let result = try Program.run([
      "evaluate", "--reference", model, "--package", try palettized(2, scratch), "--prompt", "cat", "--seeds", "3",
      "--steps",
      "2", "--output", scratch.file("evaluation"), "--json",
    ])
    #expect(result.status == 0, "\(result.errors)")
    let outcome = try JSONDecoder().decode(EvaluateJob.Outcome.self, from: Data(result.output.utf8))
    let seen = try outcome.candidates.map { try #require($0.figures.clip) }
    #expect(seen.count == 2 && seen[0].cosine.mean > seen[1].cosine.mean && seen[0].cosine.mean <= 1 + 1e-9)
    #expect(
      seen[0].maximumMeanDiscrepancy >= -1e-9 && seen[0].maximumMeanDiscrepancy < seen[1].maximumMeanDiscrepancy)
  }

  /// Figures, files and, where a browser is installed, what it shows of the page.
  @Test func evaluationMeasuresPackages() throws {
    let scratch = try ScratchFolder()
    let output = scratch.file("evaluation")
    let result = try Program.run([
      "evaluate", "--reference", Self.model, "--package", try palettized(6, scratch), "--package",
      try palettized(2, scratch), "--prompt", "red heart </script>", "--prompt", "cat", "--seeds", "2", "--steps", "3",
      "--output", output, "--json",
    ])
    #expect(result.status == 0, "\(result.errors)")
    let outcome = try JSONDecoder().decode(EvaluateJob.Outcome.self, from: Data(result.output.utf8))
    #expect(outcome.candidates.map(\.name) == ["fp16", "Unet-6", "Unet-2"])
    let figures = outcome.candidates.map(\.figures)
    // Fewer bits, more error, by every measure.
    for (better, worse) in zip(figures, figures.dropFirst()) {
      #expect(better.latentPSNR.mean > worse.latentPSNR.mean)
      #expect(better.imagePSNR.mean > worse.imagePSNR.mean)
      #expect(better.imageSSIM.mean > worse.imageSSIM.mean)
      #expect(better.appleMixedBitPSNR > worse.appleMixedBitPSNR)
      for (a, b) in zip(better.outputErrors, worse.outputErrors) {
        #expect(a.meanSquaredError < b.meanSquaredError)
      }
    }
    #expect(figures[0].latentPSNR.count == 4 && figures[0].trajectoryPSNR.count == 4)
    #expect(outcome.candidates[1].bytes > outcome.candidates[2].bytes)
    #expect((outcome.candidates[1].peakMemoryBytes ?? 0) > 10_000_000)
    try Browser.check(output + "/evaluation.html") { page in
      #expect(page.contains("3 candidates, 28 pictures shown, 0 broken"), "\(page.suffix(600))")
      #expect(page.contains("data-name=\"Unet-2\""))
      #expect(page.components(separatedBy: "<circle").count > 20)
    }
  }
}

/// A browser without a screen.
private enum Browser {
  /// Loads a page, runs its script and hands over what became of it; says so if there is no browser.
  static func check(_ path: String, _ body: (String) -> Void) throws {
    let names = ["chromium", "chromium-browser", "google-chrome"]
    let found = names.map { "/usr/bin/\($0)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    guard let browser = found else {
      print("skipped: no browser (apt install chromium) to look at \(path)")
      return
    }
    let process = Process()
    process.executableURL = URL(filePath: browser)
    process.arguments = [
      "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000",
      "--user-data-dir=\(path).profile", "--dump-dom", "file://\(path)",
    ]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let page = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    body(String(decoding: page, as: UTF8.self))
  }
}
