internal import ArgumentParser
internal import Jobs

/// `sdtune run`: a package's function or a diffusers component on named tensors.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a package or a diffusers component folder on tensors from a file.")

  @Argument(
    help:
      "An .mlpackage, an .mlmodelc or a .zip of one; a component's folder (MODEL/unet, MODEL/vae#decoder, a ControlNet); or a model in any form with #unet, #text_encoder, #vae_decoder …"
  )
  var target: String

  @Option(help: "Named inputs.", completion: .file(extensions: ["safetensors"]))
  var inputs: String

  @Option(name: .customLong("output"), help: "Where the named outputs go, safetensors.")
  var outputs: String

  @OptionGroup var options: OutputOptions

  func run() throws {
    let results = try RunTarget(target.unpacked())(
      inputs: inputs, outputs: outputs)
    let shapes = Dictionary(uniqueKeysWithValues: results.map { ($0.name, $0.shape) })
    try options.show(
      shapes, text: results.map { "\($0.name) \($0.shape)" }.joined(separator: "\n"))
  }
}
