internal import ArgumentParser
internal import Jobs

/// `sdtune inspect FILE`: what is in it.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what is in a recipe, checkpoint, package, model or file of weights.")

  @Argument(help: "The file or package.", completion: .file())
  var file: String

  @Option(
    help: "Also write a package's weights, decompressed and under the names of the program's values, as safetensors.",
    completion: .file(extensions: ["safetensors"]))
  var weights: String?

  @OptionGroup var options: OutputOptions

  func run() throws {
    let file = try file.unpacked()
    let inspection = try Inspection(of: file)
    if let weights { try inspection.writeWeights(of: file, to: weights) }
    try options.show(inspection, text: inspection.text)
  }
}

/// `sdtune verify FILE`: whether it is sound.
struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a recipe, checkpoint, package, model or file of weights; exit 0 if it is sound.")

  @Argument(help: "The file or package.", completion: .file())
  var file: String

  @OptionGroup var options: OutputOptions

  private struct Verdict: Encodable {
    let file: String
    let kind: String
    let sound: Bool
  }

  func run() throws {
    let kind = try Inspection.verified(file.unpacked(anew: true))
    try options.show(Verdict(file: file, kind: kind, sound: true), text: "\(file): a sound \(kind)")
  }
}
