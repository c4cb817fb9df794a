internal import ArgumentParser
internal import Foundation
internal import Jobs
internal import Recipes
internal import Training

/// `sdtune train --recipe R.json`: a model from scratch, without palettes.
struct Train: ParsableCommand, InterruptibleCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a UNet and its text encoder from scratch and write them as a diffusers folder.")

  @OptionGroup var runOptions: RunOptions

  @OptionGroup var options: OutputOptions

  func run() throws {
    let job = TrainJob(try runOptions.document(), recipeFolder: runOptions.recipeFolder, output: runOptions.output)
    let metrics = try job(
      resume: runOptions.resume, control: try runOptions.control(), stage: { Terminal.note($0) },
      progress: { Terminal.note($0.line) })
    try options.show(
      metrics,
      text: String(
        format: "%@: %d parameters, epsilon-MSE %.6f on %d validation pictures", metrics.folder as NSString,
        metrics.parameters, metrics.validation.epsilonMSE, metrics.validation.pictures))
  }
}

extension PretrainingRun.Progress {
  /// One line of progress.
  fileprivate var line: String {
    let left = Int(secondsLeft)
    return String(
      format: "step %5d/%d  loss %.4f  gradient %.3f  %.2f s/step  %d:%02d left", step, steps, loss,
      gradientNorm, secondsPerStep, left / 60, left % 60)
  }
}
