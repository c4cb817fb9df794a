internal import ArgumentParser
internal import Foundation
internal import Jobs
internal import Recipes
internal import Training

/// `sdtune [tune] --recipe R.json`: the main job.
struct Tune: ParsableCommand, InterruptibleCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fine-tune a UNet while it is palettized, export it, run the package and report.")

  @OptionGroup var runOptions: RunOptions

  @Flag(help: "Only say what the run would need: memory, operations, time per step.")
  var dryRun = false

  @Option(help: "The model, instead of the recipe's.", completion: .file())
  var model: String?

  @OptionGroup var additions: ModelAdditionOptions

  @Option(help: "The data, instead of the recipe's: pictures with captions, or latents.", completion: .file())
  var data: String?

  @OptionGroup var options: OutputOptions

  func run() throws {
    var recipe: Recipe = try runOptions.document()
    if let model { recipe.model = URL(filePath: model).path }
    try additions.apply(to: &recipe)
    if let data { recipe.data = URL(filePath: data).path }
    for (option, path) in [("--model", recipe.model), ("--data", recipe.data)] where path.isEmpty {
      throw ValidationError("\(option): expected a path with it: \(runOptions.recipe) leaves that open")
    }
    if dryRun {
      let needs = try DryRun(recipe, recipeFolder: runOptions.recipeFolder)
      return try options.show(needs, text: needs.text)
    }
    let job = TuneJob(recipe, recipeFolder: runOptions.recipeFolder, output: runOptions.output)
    let report = try job(resume: runOptions.resume, control: try runOptions.control()) { Terminal.note($0) }
    if let report { try options.show(report, text: report.table) }
  }
}

extension TrainingRun.Progress {
  /// One line of progress.
  var line: String {
    let left = Int(secondsLeft)
    let figures = String(
      format: "step %5d/%d  %-6@  loss %.3e  hard %.3e  flips %5.2f %%  %.2f s/step  %d:%02d left",
      step, steps, phase as NSString, loss, hardLoss, 100 * flipRate, secondsPerStep, left / 60,
      left % 60)
    guard let first = collapsed.first else { return figures }
    return figures + "\nwarning: \(collapsed.count) palettes have lost entries, first '\(first)'"
  }
}
