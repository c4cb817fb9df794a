internal import ArgumentParser
internal import Foundation
internal import Generation
internal import Jobs
internal import Models
internal import StableDiffusion

/// `sdtune evaluate`: what packages are worth beside their reference.
struct Evaluate: ParsableCommand, InterruptibleCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure UNet packages against a reference over prompts and seeds; write JSON and a page.")

  @Option(help: "The reference: a diffusers folder, a Hugging Face cache folder or a single file.", completion: .file())
  var reference: String

  @OptionGroup var additions: ModelAdditionOptions

  @Option(name: .customLong("package"), help: "A UNet package, compiled model or .zip of one; repeatable.")
  var packages: [String] = []

  @Option(
    help: "Latents and tokens, as a recipe's data: also compare the noise that is predicted on them.",
    completion: .file(extensions: ["h5"]))
  var data: String?

  @Option(name: .customLong("prompt"), help: "A prompt; repeatable (default: eight of Apple's kind).")
  var prompts: [String] = []

  @Option(help: "A file with a prompt a line.", completion: .file(extensions: ["txt"]))
  var promptsFile: String?

  @Option(help: "Seeds for every prompt, from 0 on.")
  var seeds = 2

  @Option(help: "Steps.")
  var steps = 20

  @Option(help: "Guidance, above 1.")
  var guidance = 7.5

  @Option(help: "ddim, pndm, dpm-solver, euler, euler-ancestral or lcm (default: the model's).")
  var scheduler: String?

  @Option(help: "Arithmetic of the reference: fp32 or fp16.")
  var precision = "fp32"

  @Option(help: "Where evaluation.json and evaluation.html go.", completion: .directory)
  var output = "evaluation"

  @OptionGroup var options: OutputOptions

  private func models() throws -> ModelSet {
    var wishes = additions.additions
    wishes.guidance = guidance
    return try ModelSet(reference.unpacked(), additions: wishes)
  }

  func run() throws {
    var texts = prompts
    if let file = promptsFile {
      guard let data = FileManager.default.contents(atPath: file) else {
        throw JobError.unreadable(path: file, reason: "no such file")
      }
      texts += String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
      guard !texts.isEmpty else {
        throw JobError.unreadable(path: file, reason: "expected a prompt a line, found none")
      }
    }
    guard (1...1000).contains(seeds) else {
      throw JobError.option(name: "--seeds", expected: "1 to 1000", found: "\(seeds)")
    }
    let settings = QualityEvaluation.Settings(
      prompts: texts.isEmpty ? Self.usualPrompts : texts, seeds: (0..<seeds).map { UInt64($0) }, steps: steps,
      guidance: guidance, scheduler: "")
    let job = try EvaluateJob(
      try models(), packages: packages, settings: settings,
      method: try choice("--scheduler", scheduler), precision: try choice("--precision", precision),
      data: data)
    try EvaluateJob.prepare(output)
    let result = try job(
      executable: "/proc/self/exe", isInterrupted: { Interruption.isRequested }, notify: { Terminal.note($0) })
    try job.write(result.outcome, result.rows, to: output)
    try options.show(result.outcome, text: result.outcome.table + "\n\(output)/evaluation.html")
  }

  /// Subjects of many kinds.
  private static let usualPrompts = [
    "a photo of an astronaut riding a horse on mars", "a red heart", "a bowl of fruit, oil painting",
    "a small house in the mountains at sunset", "portrait of an old fisherman", "a yellow smiling face",
    "a blue car on a city street", "a close-up of a bee on a flower",
  ]
}
