internal import ArgumentParser
internal import Foundation
internal import Jobs

/// What every command takes.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print the result as JSON, as the last thing on standard output.")
  var json = false

  /// Prints a result: JSON if asked for, words otherwise.
  func show(_ result: some Encodable, text: String) throws {
    guard json else { return try Terminal.print(text.printable(keepsLines: true)) }
    try Terminal.print(String(decoding: try JSONEncoder.ofResults.encode(result), as: UTF8.self))
  }
}

/// Progress goes to standard error.
enum Terminal {
  /// One line, whatever names of strangers are in it. A run does not end because nobody can read how it goes.
  static func note(_ line: String) {
    try? FileHandle.standardError.write(contentsOf: Data((line.printable() + "\n").utf8))
  }

  /// Results go to standard output.
  ///
  /// - Throws: if they do not arrive.
  static func print(_ text: String) throws {
    do {
      try FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8))
    } catch {
      throw JobError.unwritable(path: "standard output", reason: "\(error)")
    }
  }
}
