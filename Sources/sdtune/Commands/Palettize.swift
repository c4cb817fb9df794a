internal import ArgumentParser
internal import Foundation
internal import Jobs
internal import Recipes

/// `sdtune palettize`: post-training palettes.
struct Palettize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Palettize a UNet's weights without training and write a package.")

  @Option(help: "A Stable Diffusion model in diffusers' folder layout.", completion: .directory)
  var model: String

  @Option(help: "Bits a weight: 1, 2, 3, 4, 6 or 8.")
  var bits: Int

  @Option(help: "The package to write.")
  var output: String

  @Option(help: "iOS16, iOS17 or iOS18.")
  var target = "iOS16"

  @Option(help: "original, split-einsum or split-einsum-v2.")
  var attention = "split-einsum"

  @Option(help: "Samples in a call.")
  var batch = 2

  @Option(help: "Tokens of a prompt (default: the text encoder's longest).")
  var tokens: Int?

  @OptionGroup var options: OutputOptions

  func run() throws {
    let clustering = try StrictDecoding.decode(
      ClusteringRecipe.self, from: Data(#"{"bits": \#(bits)}"#.utf8), file: "--bits")
    try clustering.validate()
    let export = try StrictDecoding.decode(
      ExportRecipe.self,
      from: try JSONEncoder().encode(["target": target, "attention": attention]),
      file: "--target, --attention")
    var batched = export
    batched.batch = batch
    try batched.validate()
    guard (tokens ?? 1) > 0, (tokens ?? 1) <= 4096 else {
      throw JobError.option(name: "--tokens", expected: "1 to 4096", found: "\(tokens ?? 0)")
    }
    let job = PalettizeJob(model: model, clustering: clustering, export: batched)
    let average = try job(output: output, tokens: tokens)
    try options.show(
      ["package": output, "bitsPerWeight": String(format: "%.4f", average)],
      text: String(format: "%@: %.3f bits a weight", output as NSString, average))
  }
}
