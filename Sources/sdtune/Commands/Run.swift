internal import ArgumentParser
internal import Jobs

/// `sdtune run`: a package's function or a diffusers component on named tensors.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a package or a diffusers component folder on tensors from a file.")

  @Argument(
    help: "An .mlpackage, or a component's folder: MODEL/unet, MODEL/vae#decoder, MODEL/safety_checker, a ControlNet …")
  var target: String

  @Option(help: "Named inputs.", completion: .file(extensions: ["safetensors"]))
  var inputs: String

  @Option(name: .customLong("output"), help: "Where the named outputs go, safetensors.")
  var outputs: String

  @OptionGroup var options: OutputOptions

  func run() throws {
    let results = try RunTarget(target)(inputs: inputs, outputs: outputs)
    let shapes = Dictionary(uniqueKeysWithValues: results.map { ($0.name, $0.shape) })
    try options.show(
      shapes, text: results.map { "\($0.name) \($0.shape)" }.joined(separator: "\n"))
  }
}
