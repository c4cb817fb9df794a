internal import ArgumentParser
internal import Foundation
internal import Jobs
internal import Models
internal import Recipes

/// `sdtune palettize`: post-training palettes.
struct Palettize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Palettize a UNet's weights without training and write a package.",
    discussion: """
      All forms of palettes that a recipe knows: --bits 4 --target iOS18 --set clustering.groupSize=16, or --recipe with \
      the mixed bits that sdtune analyze wrote.
      """)

  @Option(
    help: "A Stable Diffusion model: a diffusers folder, a Hugging Face cache folder or a single file.",
    completion: .file())
  var model: String

  @OptionGroup var additions: ModelAdditionOptions

  @Option(help: "Bits a weight: 1, 2, 3, 4, 6 or 8.")
  var bits: Int?

  @Flag(
    help: """
      Choose entries and indices by what they do to the UNet's answers, measured on pictures and prompts: longer, for much \
      better answers at the same size.
      """)
  var calibrate = false

  @Option(help: "Latents and token numbers to calibrate on (default: the recipe's, or MODEL/latents.h5).")
  var data: String?

  @Option(help: "A recipe whose palettes and export are taken.", completion: .file(extensions: ["json"]))
  var recipe: String?

  @OptionGroup var settings: RecipeSettings

  @Option(help: "The package to write.")
  var output: String

  @Option(help: "iOS16, iOS17, iOS18 or iOS26 (default: iOS16, or iOS18 if the palettes need it).")
  var target: String?

  @Option(help: "original, split-einsum or split-einsum-v2 (default: split-einsum).")
  var attention: String?

  @Option(help: "Samples in a call (default: 2).")
  var batch: Int?

  @Option(help: "Tokens of a prompt (default: the text encoder's longest).")
  var tokens: Int?

  @OptionGroup var options: OutputOptions

  func validate() throws {
    guard bits != nil || recipe != nil else { throw ValidationError("give --bits or --recipe") }
    guard (tokens ?? 1) > 0, (tokens ?? 1) <= 4096 else {
      throw ValidationError("--tokens: expected 1 to 4096, found \(tokens ?? 0)")
    }
  }

  private struct Summary: Encodable {
    let package: String
    let bitsPerWeight: Double
  }

  func run() throws {
    let recipe = try wanted()
    guard recipe.clustering.start != .fisher else {
      throw JobError.option(
        name: "clustering.start", expected: "optimal or calibrated", found: recipe.clustering.start.rawValue)
    }
    let job = PalettizeJob(
      model: try ModelSource(model, additions.additions), recipe: recipe,
      folder: self.recipe.map { RecipeFile.folder(of: $0) } ?? URL(filePath: "."))
    let average = try job(
      output: output, tokens: tokens, warn: { Terminal.note("warning: \($0)") },
      progress: { done, total, left in
        guard done % max(1, total / 20) == 0 || done == total else { return }
        Terminal.note(
          String(format: "calibrated %d %%, %d:%02d left", 100 * done / total, Int(left) / 60, Int(left) % 60))
      })
    try options.show(
      Summary(package: output, bitsPerWeight: average),
      text: String(format: "%@: %.3f bits a weight", output as NSString, average))
  }

  /// The recipe, with what the options say and then what --set says.
  private func wanted() throws -> Recipe {
    let values: [(key: String, value: String?)] = [
      ("clustering.bits", bits.map(String.init)), ("export.target", target), ("export.attention", attention),
      ("export.batch", batch.map(String.init)),
    ]
    let settings = values.compactMap { key, value in value.map { "\(key)=\($0)" } } + self.settings.assignments
    let isFolder = ModelSource.isFolder(model)
    var wanted: Recipe
    if let recipe {
      wanted = try RecipeFile.read(recipe, settings: settings)
    } else {
      wanted = try RecipeFile.standard(
        name: "palettize", model: model, data: isFolder ? absolute("\(model)/latents.h5") : "", steps: 0,
        settings: settings, choosesTarget: target == nil)
    }
    if calibrate { wanted.clustering.start = .calibrated }
    if let data { wanted.data = absolute(data) }
    guard wanted.clustering.start == .calibrated else {
      guard data == nil else {
        throw JobError.option(name: "--data", expected: "--calibrate with it", found: "none")
      }
      return wanted
    }
    guard !wanted.data.isEmpty else {
      throw JobError.option(name: "--calibrate", expected: "--data with it where the model is a file", found: "none")
    }
    return wanted
  }

  /// Paths of options are relative to where the command runs, those of recipes to their folder.
  private func absolute(_ path: String) -> String { URL(filePath: path).standardizedFileURL.path }
}
