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

  @OptionGroup var options: OutputOptions

  func run() throws {
    let recipe: Recipe = try runOptions.document()
    if dryRun {
      let needs = try DryRun(recipe, recipeFolder: runOptions.recipeFolder)
      return try options.show(needs, text: needs.text)
    }
    let job = TuneJob(recipe, recipeFolder: runOptions.recipeFolder, output: runOptions.output)
    let report = try job(resume: runOptions.resume, isInterrupted: { Interruption.isRequested }) { event in
      switch event {
      case .stage(let text): Terminal.note(text)
      case .warning(let text): Terminal.note("warning: \(text)")
      case .step(let progress): Terminal.note(progress.line)
      }
    }
    if let report { try options.show(report, text: report.table) }
  }
}

extension TrainingRun.Progress {
  /// One line of progress.
  fileprivate var line: String {
    let left = Int(secondsLeft)
    let figures = String(
      format: "step %5d/%d  %-6@  loss %.3e  hard %.3e  flips %5.2f %%  %.2f s/step  %d:%02d left",
      step, steps, phase as NSString, loss, hardLoss, 100 * flipRate, secondsPerStep, left / 60,
      left % 60)
    guard let first = collapsed.first else { return figures }
    return figures + "\nwarning: \(collapsed.count) palettes have lost entries, first '\(first)'"
  }
}
