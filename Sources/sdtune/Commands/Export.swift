internal import ArgumentParser
internal import Jobs

/// `sdtune export`: a checkpoint as a package or as a UNet's folder in diffusers' layout.
struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a checkpoint's weights as a Core ML package or as a UNet in diffusers' layout.")

  @Option(help: "A checkpoint, state.h5.", completion: .file(extensions: ["h5"]))
  var checkpoint: String

  @Option(help: "The package or folder to write.")
  var output: String

  @Option(help: "mlpackage; or diffusers: config.json and palettized weights, as a model's folder unet holds them.")
  var format: ExportJob.Format = .mlpackage

  @Option(help: "The model the run started from (default: the recipe's, from recipes/ or from here).")
  var model: String?

  @Option(help: "The run's latents (default: the recipe's, likewise); a package needs their size.")
  var data: String?

  @OptionGroup var options: OutputOptions

  func run() throws {
    try ExportJob(checkpoint: checkpoint, modelFolder: model, data: data)(format: format, output: output)
    try options.show(["output": output], text: output)
  }
}

extension ExportJob.Format: ExpressibleByArgument {}
