internal import ArgumentParser
internal import Benchmarks
internal import Foundation
internal import Jobs
internal import Recipes
internal import Training

/// `sdtune`: fine-tunes Stable Diffusion UNets while their weights are palettized, and more.
struct SDTune: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sdtune",
    abstract: "Fine-tune Stable Diffusion while its weights are palettized; export and run Core ML packages.",
    version: "0.1.0",
    subcommands: [
      Tune.self, Prepare.self, Train.self, Analyze.self, Palettize.self, Convert.self, Compile.self, Export.self,
      Run.self, Generate.self, Evaluate.self, Inspect.self, Verify.self, Diff.self, Benchmark.self,
    ],
    defaultSubcommand: Tune.self)
}

@main
enum Main {
  static func main() {
    do {
      try refuseUnknownCommand()
      var command = try SDTune.parseAsRoot()
      Interruption.install(isCooperative: command is any InterruptibleCommand)
      try command.run()
    } catch {
      leave(error)
    }
  }

  /// `tune` may be left out, so a misspelt command would be read as one of its options.
  private static func refuseUnknownCommand() throws {
    let names = SDTune.configuration.subcommands.map { $0._commandName } + ["help"]
    guard let word = CommandLine.arguments.dropFirst().first, !word.hasPrefix("-"), !names.contains(word) else {
      return
    }
    let nearest = EditDistance.nearest(to: word, among: names).map { "; did you mean \($0)?" } ?? ""
    throw JobError.option(
      name: "command", expected: names.dropLast().joined(separator: ", "), found: "'\(word)'" + nearest)
  }

  /// Help and the like as ArgumentParser has them; everything else is one line and a status that is not 0.
  private static func leave(_ error: any Error) -> Never {
    if let status = error as? ExitCode { exit(status.rawValue) }
    let code = SDTune.exitCode(for: error)
    if code == .success { SDTune.exit(withError: error) }
    var message = (error as NSError).lineOfFile ?? SDTune.message(for: error)
    // ArgumentParser's go on with the usage.
    if code == .validationFailure, let line = message.split(whereSeparator: \.isNewline).first {
      message = String(line)
    }
    Terminal.note("error: \(message)")
    exit(Interruption.isRequested || (error as? TrainingError)?.isRequest == true ? Interruption.status : code.rawValue)
  }
}

extension NSError {
  /// Of Foundation's errors about files: the file and the system's reason.
  fileprivate var lineOfFile: String? {
    guard domain == NSCocoaErrorDomain else { return nil }
    let path = userInfo[NSFilePathErrorKey] as? String ?? (userInfo[NSURLErrorKey] as? URL)?.path
    let system = (userInfo[NSUnderlyingErrorKey] as? any Error).map { $0 as NSError }
    let reason = system.flatMap { $0.domain == NSPOSIXErrorDomain ? String(cString: strerror(Int32($0.code))) : nil }
    return path.map { "\($0): \(reason ?? localizedDescription)" }
  }
}
