internal import ArgumentParser
internal import Jobs

/// `sdtune diff A B`: in what two packages differ.
struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say in which features, operations and weights two packages differ, and by how much.",
    discussion: "Ends with status 0 if they are equal and 1 if they are not.")

  @Argument(help: "The first package.", completion: .file(extensions: ["mlpackage", "mlmodelc"]))
  var first: String

  @Argument(help: "The second package.", completion: .file(extensions: ["mlpackage", "mlmodelc"]))
  var second: String

  @OptionGroup var options: OutputOptions

  func run() throws {
    let difference = try PackageDifference(first.unpacked(), second.unpacked())
    try options.show(difference, text: difference.text)
    if !difference.isEmpty { throw ExitCode(1) }
  }
}
