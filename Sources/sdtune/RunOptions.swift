internal import ArgumentParser
internal import Foundation
internal import Jobs
internal import Recipes
internal import Training

/// What commands that train are told: a recipe, and the folder of its run.
struct RunOptions: ParsableArguments {
  @Option(help: "The recipe, a JSON file.", completion: .file(extensions: ["json"]))
  var recipe: String

  @Flag(help: "Continue from the output folder's checkpoint.")
  var resume = false

  @Option(help: "The run's folder (default: checkpoints/<recipe name>).")
  var output: String?

  @Option(
    help: """
      End with a checkpoint before so long has passed: seconds, or 90m, 12h, 1-06:00:00; the exit status is then 130, and \
      --resume goes on.
      """)
  var timeLimit: String?

  @Option(
    help:
      "A signal that asks for a checkpoint, after which the run goes on: HUP, USR1 or USR2 (SLURM: --signal=USR1@300).")
  var checkpointSignal: String?

  @OptionGroup var settings: RecipeSettings

  /// What the run is asked for from outside.
  func control() throws -> RunControl {
    let limit = try timeLimit.map { text in
      guard let limit = TimeLimit.duration(text) else {
        throw JobError.option(
          name: "--time-limit", expected: "a time such as 3600, 90m, 12h or 1-06:00:00", found: text)
      }
      return limit
    }
    if let checkpointSignal {
      let signals = ["HUP": SIGHUP, "USR1": SIGUSR1, "USR2": SIGUSR2]
      guard let number = signals[checkpointSignal.uppercased().replacing("SIG", with: "")] else {
        throw JobError.option(name: "--checkpoint-signal", expected: "HUP, USR1 or USR2", found: checkpointSignal)
      }
      Interruption.takeCheckpoints(on: number)
    }
    return RunControl(
      isInterrupted: { Interruption.isRequested }, takeCheckpointRequest: { Interruption.takeCheckpointRequest() },
      deadline: limit.map { ContinuousClock.now + $0 })
  }

  /// The recipe with its values replaced.
  func document<Document: RecipeDocument>() throws -> Document {
    try RecipeFile.read(recipe, settings: settings.assignments)
  }

  /// What the recipe's paths are relative to.
  var recipeFolder: URL { RecipeFile.folder(of: recipe) }
}

/// What the command line says instead of a recipe.
struct RecipeSettings: ParsableArguments {
  @Option(name: .customLong("set"), help: "Replace a value of the recipe: key.path=value; repeatable.")
  var assignments: [String] = []
}

/// How long a run may take, in the forms that schedulers know.
enum TimeLimit {
  /// Seconds, a number with s, m, h or d, or `[days-]hours:minutes:seconds` as SLURM has it; nil for anything else.
  static func duration(_ text: String) -> Duration? {
    let units = ["s": 1.0, "m": 60, "h": 3600, "d": 86400]
    if let unit = text.last.flatMap({ units[String($0)] }) { return duration(text.dropLast(), unit) }
    let halves = text.split(separator: "-", omittingEmptySubsequences: false)
    let parts = (halves.last ?? "").split(separator: ":", omittingEmptySubsequences: false)
    guard halves.count <= 2, parts.count > 1 else { return duration(text[...], 1) }
    // With days in front hours come first, else the last are seconds.
    let all = [3600.0, 60, 1]
    let weights = halves.count == 2 ? all : Array(all.suffix(parts.count))
    guard parts.count <= weights.count else { return nil }
    var sum = Duration.zero
    if halves.count == 2 {
      guard let days = duration(halves[0], 86400) else { return nil }
      sum = days
    }
    for (part, unit) in zip(parts, weights) {
      guard let value = duration(part, unit) else { return nil }
      sum += value
    }
    return sum
  }

  private static func duration(_ number: Substring, _ unit: Double) -> Duration? {
    guard let value = Double(number), value.isFinite, value >= 0, value * unit < 1e9 else { return nil }
    return .seconds(value * unit)
  }
}
