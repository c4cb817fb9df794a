internal import Distribution
internal import Files
internal import Foundation
internal import PictureSets
internal import Recipes
internal import Training

/// A run's data, with all that a person should hear of it.
struct RunPreparation {
  let recipe: Recipe
  let recipeFolder: URL
  let folder: RunFolder
  let isInterrupted: @Sendable () -> Bool
  let notify: (TuneJob.Event) -> Void

  func data(_ model: TuningModel, ranks: Ranks) throws -> RunData {
    guard !ranks.isFirst else {
      let data = try RunData(recipe, model, folder: recipeFolder, work(model, prepares: true))
      // The others read what this one has written.
      _ = try ranks.sum([0])
      return data
    }
    _ = try ranks.sum([0])
    return try RunData(recipe, model, folder: recipeFolder, work(model, prepares: false))
  }

  private func work(_ model: TuningModel, prepares: Bool) -> RunData.Work {
    let pace = Pace()
    return RunData.Work(
      cache: { data in
        try LatentCache.path(of: data, recipe, model: model.source, recipeFolder: recipeFolder, run: folder.path)
      },
      teacherLatents: prepares ? folder.teacherLatents : nil, isInterrupted: isInterrupted,
      progress: { stage, done, count in
        if let line = pace.line(stage, done, count) { notify(.stage(line)) }
      }, prepares: prepares,
      surveyed: { preparation in
        try PreparationNotes(preparation).tell {
          notify(.warning($0))
        } stage: {
          notify(.stage($0))
        }
      })
  }
}

/// Lines of progress, a few seconds apart, with the time that is left at this pace.
final class Pace {
  private var stage = ""
  private var started = ContinuousClock.now
  private var first = 0
  private var last = ContinuousClock.now

  /// A line; nil if the last one was only just.
  func line(_ stage: String, _ done: Int, _ count: Int) -> String? {
    let now = ContinuousClock.now
    if stage != self.stage {
      (self.stage, started, first, last) = (stage, now, done, now)
      return done < count ? "\(stage): \(done) of \(count)" : nil
    }
    guard done == count || now - last > .seconds(3) else { return nil }
    last = now
    let seconds = (now - started).seconds
    let left = done > first ? Int(seconds / Double(done - first) * Double(count - done)) : 0
    return String(format: "%@: %d of %d, %d:%02d left", stage as NSString, done, count, left / 60, left % 60)
  }
}

/// What a person should hear of a set of pictures before it is encoded.
struct PreparationNotes {
  private let preparation: PicturePreparation
  /// The file that names every picture that cannot be used.
  let list: String

  init(_ preparation: PicturePreparation) {
    self.preparation = preparation
    list = (preparation.cache as NSString).deletingPathExtension + "-unusable.txt"
  }

  private static let mostLines = 20

  /// - Throws: ``TrainingError`` if too much of the set cannot be used.
  func tell(_ warn: (String) -> Void, stage: (String) -> Void) throws {
    let survey = preparation.survey
    stage(
      "\(survey.set.path): \(survey.usable) pictures (\(survey.set.layout.rawValue)), "
        + "\(preparation.missingCount) encodings to make for \(preparation.cache)")
    if preparation.cutCaptions > 0 {
      warn(
        "\(preparation.cutCaptions) captions are longer than a prompt of \(preparation.tokenCount) tokens, and are cut")
    }
    tell(survey.warnings, warn)
    tell(survey.unusable.map(\.description), warn)
    if survey.unusable.isEmpty {
      try? FileManager.default.removeItem(atPath: list)
    } else {
      let lines = survey.unusable.map { $0.description.printable() + "\n" }.joined()
      try AtomicFile(path: list).write(Data(lines.utf8))
      warn(
        "\(survey.unusable.count) of \(survey.unusable.count + survey.usable) pictures cannot be used: \(list) names them"
      )
    }
    try preparation.check(list: list)
  }

  private func tell(_ lines: [String], _ warn: (String) -> Void) {
    for line in lines.prefix(Self.mostLines) { warn(line) }
    if lines.count > Self.mostLines { warn("… and \(lines.count - Self.mostLines) more of this kind") }
  }
}
