internal import ArgumentParser
internal import Foundation
internal import Jobs
internal import Models
internal import Recipes
internal import Training

/// `sdtune prepare FOLDER --model M --output cache.h5`: pictures as latents, apart from a run.
struct Prepare: ParsableCommand, InterruptibleCommand {
  static let configuration = CommandConfiguration(
    abstract: "Encode a folder, .tar or .zip of captioned pictures into a file of latents, which tune takes as data.",
    discussion: """
      Example: sdtune prepare photos --model stable-diffusion-v1-5 --output photos.h5 --set pictures.resolution=512

      What is encoded already stays: a second run, or one that was stopped, encodes only what is new. Beside the file come \
      a contact sheet, photos.html, and photos-unusable.txt if some pictures cannot be used.
      """)

  @Argument(help: "The pictures: a folder, a .tar or a .zip.", completion: .file())
  var pictures: String

  @Option(
    help: "A Stable Diffusion model: a diffusers folder, a Hugging Face cache folder or a single file.",
    completion: .file())
  var model: String

  @OptionGroup var additions: ModelAdditionOptions

  @Option(help: "The file to write.", completion: .file(extensions: ["h5"]))
  var output: String

  @Option(help: "A recipe whose pictures section is taken.", completion: .file(extensions: ["json"]))
  var recipe: String?

  @OptionGroup var settings: RecipeSettings

  @Flag(help: "Only say what would be done: counts, sizes, what cannot be used, seconds and bytes.")
  var dryRun = false

  @Option(help: "Every so-many-th picture comes on the contact sheet (default: about 64 in all).")
  var sheetEvery = 0

  @OptionGroup var options: OutputOptions

  func validate() throws {
    guard output.hasSuffix(".h5") || output.hasSuffix(".hdf5") else {
      throw ValidationError("--output: expected a file name that ends in .h5, found \(output)")
    }
    guard sheetEvery >= 0 else { throw ValidationError("--sheet-every: expected 0 or more, found \(sheetEvery)") }
  }

  func run() throws {
    let model = URL(filePath: model).path
    let recipe: Recipe =
      if let recipe { try RecipeFile.read(recipe, settings: settings.assignments) } else {
        try RecipeFile.standard(
          name: "prepare", model: model, data: pictures, steps: 1, settings: settings.assignments)
      }
    let summary = try PrepareJob(
      recipe, model: try ModelSource(model, additions.additions), data: pictures, output: output)(
        dryRun: dryRun, sheetEvery: sheetEvery, isInterrupted: { Interruption.isRequested }
      ) { Terminal.note($0) }
    try options.show(summary, text: summary.text)
  }
}

extension Terminal {
  static func note(_ event: TuneJob.Event) {
    switch event {
    case .stage(let text): note(text)
    case .warning(let text): note("warning: \(text)")
    case .step(let progress): note(progress.line)
    }
  }
}
