internal import Foundation
package import Models
package import PictureSets
internal import Pictures
package import Recipes
internal import StableDiffusion
internal import Training

/// `sdtune prepare`: a set of pictures as a file of latents, apart from a run.
package struct PrepareJob {
  private let recipe: Recipe
  private let model: ModelSource
  private let data: String
  private let output: String

  /// - Parameters:
  ///   - recipe: of its `pictures`.
  ///   - output: the file to write.
  package init(_ recipe: Recipe, model: ModelSource, data: String, output: String) {
    (self.recipe, self.model, self.data, self.output) = (recipe, model, data, output)
  }

  /// What a set comes to.
  package struct Summary: Codable, Sendable {
    package struct Size: Codable, Sendable {
      package let width: Int
      package let height: Int
      package let pictures: Int
    }

    package let output: String
    package let layout: String
    package let training: Int
    package let validation: Int
    package let withoutCaption: Int
    /// Longer than the text encoder's prompts.
    package let cutCaptions: Int
    package let otherFiles: Int
    package let unusable: [UnusablePicture]
    package let sizes: [Size]
    /// Pictures, crops and mirror images without latents yet.
    package let missing: Int
    package let bytes: Int
    /// Of a dry run: what encoding would take here.
    package let seconds: Double?
    /// The contact sheet; nil if there is none.
    package let sheet: String?
  }

  /// - Parameters:
  ///   - dryRun: only say what would be done; nothing is encoded or written, but the list of unusable pictures.
  ///   - sheetEvery: every so-many-th picture comes on the contact sheet; 0 for about 64 of them.
  package func callAsFunction(
    dryRun: Bool, sheetEvery: Int, isInterrupted: @Sendable () -> Bool, notify: (TuneJob.Event) -> Void
  ) throws -> Summary {
    let pace = Pace()
    func progress(_ stage: String, _ done: Int, _ count: Int) {
      if let line = pace.line(stage, done, count) { notify(.stage(line)) }
    }
    for line in model.warnings { notify(.warning(line)) }
    notify(.stage("loading the VAE of \(model.path)"))
    var preparation = try PicturePreparation(
      recipe, model: model, data: data, cache: output, isInterrupted: isInterrupted, progress: progress)
    try PreparationNotes(preparation).tell {
      notify(.warning($0))
    } stage: {
      notify(.stage($0))
    }
    guard !dryRun else {
      return summary(
        preparation, seconds: preparation.secondsPerPicture() * Double(preparation.missingCount), sheet: nil)
    }
    let missing = preparation.missingCount
    try preparation(isInterrupted: isInterrupted, progress: progress)
    let sheet = (output as NSString).deletingPathExtension + ".html"
    notify(.stage("writing the contact sheet \(sheet)"))
    try LatentSheet(cache: output, set: preparation.survey.set, settings: preparation.settings, model: model)
      .write(to: sheet, every: sheetEvery)
    return summary(preparation, missing: missing, sheet: sheet)
  }

  private func summary(
    _ preparation: PicturePreparation, missing: Int? = nil, seconds: Double? = nil, sheet: String?
  ) -> Summary {
    let counts = preparation.counts
    return Summary(
      output: output, layout: preparation.survey.set.layout.rawValue, training: counts.training,
      validation: counts.validation, withoutCaption: counts.withoutCaption, cutCaptions: preparation.cutCaptions,
      otherFiles: preparation.survey.set.otherFiles, unusable: preparation.survey.unusable,
      sizes: counts.sizes.sorted { $0.key < $1.key }
        .map { Summary.Size(width: $0.key.width, height: $0.key.height, pictures: $0.value) },
      missing: missing ?? preparation.missingCount, bytes: preparation.bytes, seconds: seconds, sheet: sheet)
  }
}

extension PrepareJob.Summary {
  /// The figures in words.
  package var text: String {
    var lines = [
      "\(training) pictures to train on, \(validation) to validate on, \(withoutCaption) without a caption (\(layout))",
      "\(unusable.count) unusable pictures, \(otherFiles) other files, \(cutCaptions) captions cut to the prompt's length",
    ]
    lines += sizes.map { String(format: "  %5d × %-5d %7d encodings", $0.width, $0.height, $0.pictures) }
    let megabytes = String(format: "%.1f MB", Double(bytes) / 1e6)
    if let seconds {
      lines.append(
        String(format: "%d to encode: about %d:%02d here, %@", missing, Int(seconds) / 60, Int(seconds) % 60, megabytes)
      )
    } else {
      lines.append("\(output): \(megabytes), \(missing) encoded now" + (sheet.map { "; contact sheet \($0)" } ?? ""))
    }
    return lines.joined(separator: "\n")
  }
}
