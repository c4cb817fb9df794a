internal import ArgumentParser
internal import Jobs

/// `sdtune export`: a checkpoint as a package or as a UNet's folder in diffusers' layout.
struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a checkpoint's weights as a Core ML package, as a model in another form, or as palettes.")

  @Option(help: "A checkpoint, state.h5.", completion: .file(extensions: ["h5"]))
  var checkpoint: String

  @Option(help: "The package or folder to write.")
  var output: String

  @Option(
    help: """
      mlpackage; mlmodelc: compiled, as applications load it; diffusers: the whole model's folder; single-file: the file that the model came in; both with the palettized \
      values written out; or safetensors-palettes: tables and packed indices of the UNet.
      """)
  var format: ExportJob.Format = .mlpackage

  @Flag(help: "The same as --format mlmodelc.")
  var compiled = false

  @Option(
    help: "The model the run started from (default: the recipe's, from recipes/ or from here).", completion: .file())
  var model: String?

  @Option(help: "The run's latents (default: the recipe's, likewise); a package needs their size.")
  var data: String?

  @OptionGroup var options: OutputOptions

  func run() throws {
    guard !compiled || format == .mlpackage || format == .mlmodelc else {
      throw ValidationError("--compiled: expected a package, found --format \(format.rawValue)")
    }
    try ExportJob(checkpoint: checkpoint, modelFolder: model, data: data)(
      format: compiled ? .mlmodelc : format, output: output)
    try options.show(["output": output], text: output)
  }
}

extension ExportJob.Format: ExpressibleByArgument {}
