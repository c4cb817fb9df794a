internal import Files
internal import Foundation
package import Generation
internal import Models
package import Pictures
package import StableDiffusion
package import Training

/// `sdtune evaluate`: a reference against packages, on the same prompts, seeds and first noise.
package struct EvaluateJob {
  /// What was measured.
  package struct Outcome: Codable, Sendable {
    package struct Candidate: Codable, Sendable {
      package let name: String
      package let path: String
      /// Of all files, or of the weights at their width for the half-precision reference.
      package let bytes: Int
      /// Of `sdtune generate` with it, in a process of its own; nil if that could not be started.
      package let peakMemoryBytes: Int?
      package let figures: QualityEvaluation.Figures
      /// On the data's validation pictures, if there are data.
      package let noisePrediction: DenoisingEvaluation.Quality?
    }

    package let reference: String
    package let referenceBytes: Int
    package let referencePrecision: String
    package let referenceSecondsPerStep: Double
    package let referencePeakMemoryBytes: Int?
    package let settings: QualityEvaluation.Settings
    /// On the data's validation pictures, if there are data.
    package let referenceNoisePrediction: DenoisingEvaluation.Quality?
    /// The reference in half precision first: what that alone costs.
    package let candidates: [Candidate]
    /// Every pair of candidates by their pictures.
    package let comparisons: [PairedComparison]
  }

  /// Pictures of one row of the page: the reference's, then the candidates'.
  package struct Row: Sendable {
    package let prompt: String
    package let seed: UInt64
    package let pictures: [Picture]
  }

  private let models: ModelSet
  private let packages: [(path: String, denoiser: PackageDenoiser)]
  private let settings: QualityEvaluation.Settings
  private let method: SamplerConfiguration.Method?
  private let precision: Precision
  private let data: String?

  /// - Parameter data: pictures whose noise is predicted, too.
  package init(
    _ models: ModelSet, packages: [String], settings: QualityEvaluation.Settings,
    method: SamplerConfiguration.Method?, precision: Precision, data: String? = nil
  ) throws {
    for (name, holds, found) in [
      ("--prompt", !settings.prompts.isEmpty, "none"), ("--seeds", !settings.seeds.isEmpty, "none"),
      ("--steps", (1...1000).contains(settings.steps), "\(settings.steps)"),
      ("--guidance", settings.guidance > 1 && settings.guidance <= 100, "\(settings.guidance)"),
    ] where !holds {
      let expected = ["--steps": "1 to 1000", "--guidance": "above 1, to 100"][name] ?? "at least 1"
      throw JobError.option(name: name, expected: expected, found: found)
    }
    self.models = models
    // A package that is none should be known before the reference has run for hours.
    self.packages = try packages.map { ($0, try PackageDenoiser($0)) }
    self.settings = settings
    self.method = method
    self.precision = precision
    self.data = data
  }

  /// - Parameter executable: this program, to measure memory in processes of their own.
  package func callAsFunction(
    executable: String?, isInterrupted: @escaping @Sendable () -> Bool, notify: (String) -> Void
  ) throws -> (outcome: Outcome, rows: [Row]) {
    try QualityEvaluation.check(models, packages.map { ($0.path, $0.denoiser) })
    let noise = try data.map { data in
      guard let source = models.source else {
        throw JobError.option(name: "--data", expected: "a reference that is no package", found: models.path)
      }
      notify("predicting the noise of \(data)")
      return try NoiseEvaluation(
        model: source, data: data, packages: packages, isInterrupted: isInterrupted)
    }
    let predictions = try packages.map { try noise?.quality($0.denoiser) }
    notify("running the reference \(models.path)")
    let evaluation = try QualityEvaluation(
      models, settings, method: method, precision: precision,
      isInterrupted: isInterrupted
    ) { notify(Self.percent("reference", $0)) }
    var columns = [evaluation.pictures]
    var candidates: [Outcome.Candidate] = []
    let bytes = try StoredSize.bytes(of: models.unet.path)
    if case .component = models.unet, precision == .single {
      let result = try evaluation.figures(
        try models.denoiser(.half), isInterrupted: isInterrupted
      ) { notify(Self.percent("fp16", $0)) }
      columns.append(result.pictures)
      candidates.append(
        Outcome.Candidate(
          name: "fp16", path: models.unet.path, bytes: bytes / 2, peakMemoryBytes: nil, figures: result.figures,
          noisePrediction: nil))
    }
    for ((path, denoiser), prediction) in zip(packages, predictions) {
      let name = self.name(path)
      let result = try evaluation.figures(
        denoiser, isInterrupted: isInterrupted
      ) { notify(Self.percent(name, $0)) }
      columns.append(result.pictures)
      candidates.append(
        Outcome.Candidate(
          name: name, path: path, bytes: try StoredSize.bytes(of: path),
          peakMemoryBytes: peakMemory(executable, unet: path), figures: result.figures,
          noisePrediction: prediction))
    }
    let outcome = Outcome(
      reference: models.path, referenceBytes: bytes, referencePrecision: precision.rawValue,
      referenceSecondsPerStep: evaluation.referenceSecondsPerStep,
      referencePeakMemoryBytes: peakMemory(executable, unet: nil),
      settings: evaluation.resolvedSettings, referenceNoisePrediction: noise?.reference, candidates: candidates,
      comparisons: Self.comparisons(
        zip(candidates, columns.dropFirst()).map { ($0.name, evaluation.imagePSNRByPrompt($1)) }))
    let rows = columns[0].indices.map { index in
      Row(
        prompt: settings.prompts[index / settings.seeds.count],
        seed: settings.seeds[index % settings.seeds.count], pictures: columns.map { $0[index] })
    }
    return (outcome, rows)
  }

  private static func comparisons(_ candidates: [(name: String, values: [Double])]) -> [PairedComparison] {
    candidates.indices.flatMap { first in
      candidates[(first + 1)...].map { PairedComparison(candidates[first], $0) }
    }
  }

  private static func percent(_ name: String, _ share: Double) -> String {
    "\(name): \(Int((100 * share).rounded())) %"
  }

  /// A short name that no other package has.
  private func name(_ path: String) -> String {
    let url = URL(filePath: path)
    let own = url.deletingPathExtension().lastPathComponent
    let shared = packages.filter { URL(filePath: $0.path).deletingPathExtension().lastPathComponent == own }
    return shared.count == 1 ? own : "\(url.deletingLastPathComponent().lastPathComponent)/\(own)"
  }

  /// The largest resident size of a process that generates one picture in two steps.
  private func peakMemory(_ executable: String?, unet: String?) -> Int? {
    guard let executable else { return nil }
    let folder = FileManager.default.temporaryDirectory.appending(path: "sdtune-\(UUID().uuidString)")
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let process = Process()
    process.executableURL = URL(filePath: executable)
    process.arguments = [
      "generate", "--models", models.path, "--prompt", settings.prompts[0], "--steps", "2", "--json",
      "--output", folder.appending(path: "picture.png").path,
    ]
    process.arguments? += models.source?.additions.arguments ?? []
    if let unet { process.arguments?.append(contentsOf: ["--unet", unet]) }
    if let method { process.arguments?.append(contentsOf: ["--scheduler", method.rawValue]) }
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (try? JSONDecoder().decode(GenerateJob.Summary.self, from: data))?.peakMemoryBytes
  }
}

extension EvaluateJob {
  /// Writes `evaluation.json`, `evaluation.html`, and `pictures.png` with a column for every prompt and seed: the
  /// reference on top, below it the candidates.
  package func write(_ outcome: Outcome, _ rows: [Row], to folder: String) throws {
    try Self.prepare(folder)
    let files = [
      ("evaluation.json", try JSONEncoder.ofResults.encode(outcome)),
      ("evaluation.html", Data(try EvaluationPage(outcome, rows).html().utf8)),
    ]
    for (name, data) in files {
      try AtomicFile(path: "\(folder)/\(name)").write(data)
    }
    let columns = rows[0].pictures.indices.map { line in rows.map { $0.pictures[line] } }
    try PNGFile.write(.sheet(columns), to: folder + "/pictures.png")
  }

  /// Makes the folder of the results, which should be possible before hours of work.
  package static func prepare(_ folder: String) throws(JobError) {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw .unwritable(path: folder, reason: error.localizedDescription)
    }
    guard FileManager.default.isWritableFile(atPath: folder) else {
      throw .unwritable(path: folder, reason: "nothing may be written there")
    }
  }
}

extension EvaluateJob.Outcome {
  /// The figures as a table for the terminal.
  package var table: String {
    let head = "                      bytes  output PSNR  latents PSNR  pictures PSNR    SSIM    Apple  s/step"
    let lines = candidates.map { candidate in
      let figures = candidate.figures
      return candidate.name.padding(toLength: 14, withPad: " ", startingAt: 0)
        + String(
          format: "%13d %12.2f %13.2f %14.2f %7.4f %8.2f %7.3f", candidate.bytes,
          EvaluationPage.outputPSNR(figures), figures.latentPSNR.mean, figures.imagePSNR.mean,
          figures.imageSSIM.mean, figures.appleMixedBitPSNR, figures.secondsPerStep)
    }
    let noise = [("reference", referenceNoisePrediction)] + candidates.map { ($0.name, $0.noisePrediction) }
    let predictions = noise.compactMap { name, quality in
      quality.map {
        name.padding(toLength: 14, withPad: " ", startingAt: 0)
          + String(format: "  epsilon-MSE %.6f", $0.epsilonMSE)
          + ($0.psnr.map { String(format: ", PSNR %.2f dB", $0) } ?? "")
      }
    }
    let seen = candidates.compactMap { candidate in
      candidate.figures.clip.map {
        candidate.name.padding(toLength: 14, withPad: " ", startingAt: 0)
          + String(format: "  CLIP similarity %.4f, CMMD %.3f", $0.cosine.mean, $0.maximumMeanDiscrepancy)
      }
    }
    return ([head] + lines + predictions + seen + comparisons.map(\.text)).joined(separator: "\n")
  }
}

extension PairedComparison {
  /// One line: by how much two candidates' pictures differ, and whether these prompts can tell.
  fileprivate var text: String {
    let figures = String(
      format: "%+.2f dB (95 %%: %+.2f to %+.2f), p %.4f", difference, interval.low, interval.high, probability)
    return "\(second) against \(first): \(figures)"
      + (isSignificant ? "" : ": these prompts cannot tell them apart")
  }
}
