internal import ArgumentParser
internal import Jobs

/// `sdtune compile P.mlpackage`: what applications load.
struct Compile: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make the folder .mlmodelc of a package, as Apple's coremlcompiler does on a Mac.",
    discussion: """
      The program is written as text, byte for byte as Apple's compiler writes it; weights are copied. Nothing is \
      computed: a device makes its own code of it when an application loads it.
      """)

  @Argument(help: "Packages.", completion: .file(extensions: ["mlpackage"]))
  var packages: [String]

  @Option(
    help: "The .mlmodelc to write, or a folder for NAME.mlmodelc (default: beside each package).", completion: .file())
  var output: String?

  @OptionGroup var options: OutputOptions

  func run() throws {
    let written = try CompileJob(packages.map { (try $0.unpacked(), $0) }, output: output)()
    try options.show(["output": written], text: written.joined(separator: "\n"))
  }
}
