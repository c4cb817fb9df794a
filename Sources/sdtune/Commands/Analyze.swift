internal import ArgumentParser
internal import Foundation
internal import Jobs
internal import Recipes
internal import Training

/// `sdtune analyze`: a mixed-bit recipe for a budget.
struct Analyze: ParsableCommand, InterruptibleCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure each tensor's sensitivity and write the mixed-bit recipe that a budget allows.",
    discussion: """
      The recipe gives every weight its bits by name; tune it with sdtune --recipe. Of the base recipe everything else \
      is kept.
      """)

  @Option(
    help: "A Stable Diffusion model: a diffusers folder, a Hugging Face cache folder or a single file.",
    completion: .file())
  var model: String

  @OptionGroup var additions: ModelAdditionOptions

  @Option(help: "Latents and token numbers (default: MODEL/latents.h5).")
  var data: String?

  @Option(help: "The recipe that everything but bits is taken from (default: our defaults).")
  var recipe: String?

  @OptionGroup var settings: RecipeSettings

  @Option(help: "The recipe to write.")
  var output: String

  @Option(help: "Budget: bits a palettized weight, tables included (default: the base recipe's bits).")
  var averageBits: Double?

  @Option(help: "Budget: all weights of the UNet, in units of 10^6 bytes.")
  var megabytes: Double?

  @Option(help: "Budget: the smallest palettes whose predicted PSNR is at least this, in dB.")
  var psnr: Double?

  @Option(parsing: .upToNextOption, help: "Bits to choose from (default: all that the target holds).")
  var bits: [Int] = []

  @Option(parsing: .upToNextOption, help: "Channels in a group to choose from; 0 is one palette a tensor.")
  var groupSizes: [Int] = [0]

  @Option(
    parsing: .upToNextOption, help: "Weights to an index to choose from: 1, 2 or 4; vectors have no groups.")
  var vectors: [Int] = [1]

  @Option(help: "Batches of pictures, prompts and timesteps to measure on.")
  var batches = 2

  @Option(
    help: """
      A file that keeps what was measured: an analysis that was stopped goes on, and another budget measures nothing.
      """)
  var measurements: String?

  @Option(help: "Also write the measurements and bits as Apple's mixed-bit recipe JSON.")
  var appleOutput: String?

  @Option(help: "Take the bits from Apple's mixed-bit recipe JSON instead of measuring.")
  var appleInput: String?

  @Option(help: "Which of the recipes in the JSON (default: the only one).")
  var appleRecipe: String?

  @OptionGroup var options: OutputOptions

  func validate() throws {
    let budgets = [averageBits, megabytes, psnr].compactMap { $0 }
    guard budgets.count + (appleInput == nil ? 0 : 1) <= 1, budgets.allSatisfy({ $0.isFinite && $0 > 0 }) else {
      throw ValidationError(
        "give one of --average-bits, --megabytes and --psnr at most, above 0, or --apple-input")
    }
    try require("--apple-input", appleInput != nil, for: [("--apple-recipe", appleRecipe != nil)])
    let measuring = [
      ("--apple-output", appleOutput != nil), ("--bits", !bits.isEmpty), ("--group-sizes", groupSizes != [0]),
      ("--vectors", vectors != [1]), ("--measurements", measurements != nil),
    ]
    if appleInput != nil, let idle = measuring.first(where: \.1) {
      throw ValidationError("\(idle.0): expected measurements, found --apple-input instead of them")
    }
    if let measurements, [output, appleOutput].contains(measurements) {
      throw ValidationError("--measurements: expected a file of its own, found \(measurements)")
    }
    for (name, value, most) in [("--average-bits", averageBits, 64), ("--megabytes", megabytes, 1e6)] {
      guard let value, value > most else { continue }
      throw ValidationError("\(name): expected at most \(Int(most)), found \(value)")
    }
    if let bad = bits.first(where: { !PaletteRecipe.supportedBits.contains($0) }) {
      throw ValidationError("--bits: expected some of 1, 2, 3, 4, 6 and 8, found \(bad)")
    }
    if let bad = groupSizes.first(where: { $0 < 0 }) {
      throw ValidationError("--group-sizes: expected 0 or more channels, found \(bad)")
    }
    if vectors.isEmpty || !vectors.allSatisfy([1, 2, 4].contains) {
      throw ValidationError("--vectors: expected some of 1, 2 and 4, found \(vectors)")
    }
    guard batches > 0 else { throw ValidationError("--batches: expected 1 or more, found \(batches)") }
  }

  func run() throws {
    if let appleOutput { try OutputPlace.check(appleOutput) }
    var base = try AnalyzeRecipe(
      model: model, data: data, recipe: recipe, settings: settings.assignments, output: output)
    try additions.apply(to: &base.recipe)
    if let appleInput {
      let assigned = try AppleMixedBitRecipe.bits(appleRecipe, file: appleInput)
      let result = try base.assigning(assigned)
      try base.write(result)
      return try options.show(result, text: "\(output): bits of \(assigned.count) weights")
    }
    let widths = bits.isEmpty ? base.supportedBits : bits
    let job = AnalyzeJob(
      base.recipe, folder: base.folder,
      options: .init(bits: widths, groupSizes: groupSizes, vectors: vectors, batches: batches),
      measurements: measurements)
    let result = try job(
      budget ?? .averageBits(Double(base.recipe.clustering.bits)),
      progress: { done, total, left in
        guard done % max(1, total / 20) == 0 || done == total else { return }
        Terminal.note(
          String(format: "measured %d of %d tensors, %d:%02d left", done, total, Int(left) / 60, Int(left) % 60))
      }, isInterrupted: { Interruption.isRequested })
    try base.write(result.recipe)
    if let appleOutput { try result.apple.write(to: appleOutput) }
    try options.show(result, text: result.text)
  }

  private var budget: AnalyzeJob.Budget? {
    averageBits.map { .averageBits($0) } ?? megabytes.map { .megabytes($0) } ?? psnr.map { .psnr($0) }
  }
}
