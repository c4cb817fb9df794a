internal import ArgumentParser
internal import Foundation

/// What every command takes.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print the result as JSON, as the last thing on standard output.")
  var json = false

  /// Prints a result: JSON if asked for, words otherwise.
  func show(_ result: some Encodable, text: String) throws {
    guard json else {
      print(text)
      return
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(result), as: UTF8.self))
  }
}

/// Progress goes to standard error.
enum Terminal {
  static func note(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }
}
