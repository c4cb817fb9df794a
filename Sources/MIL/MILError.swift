package import Files

/// What can be wrong with a package, its program or what it is asked to do; each case prints as one
/// line.
package enum MILError: Error, Equatable, CustomStringConvertible {
  /// A file or folder cannot be opened, read or written.
  case file(path: String, reason: String)
  /// A package cannot be written; what was there before is untouched.
  case output(FileError)
  /// `Manifest.json` does not say what it must.
  case manifest(package: String, expected: String, found: String)
  /// `model.mlmodel` is no ML Program that can be decoded.
  case model(package: String, expected: String, found: String)
  /// A compiled model's program text is no such text; lines and columns, in bytes, count from 1.
  case text(file: String, line: Int, column: Int, expected: String, found: String)
  /// A record of a weight file is damaged.
  case weights(file: String, offset: UInt64, expected: String, found: String)
  /// The program is put together wrongly.
  case program(Place, expected: String, found: String)
  /// An operation that is not implemented.
  case unknownOperation(Place, hint: String)
  /// An argument of an operation is missing, of the wrong kind or out of range.
  case argument(Place, name: String, expected: String, found: String)
  /// A declared type is not the one that the operation has.
  case declaration(Place, declared: String, inferred: String)
  /// A value that is given to a run does not fit.
  case input(package: String, name: String, expected: String, found: String)
  /// More memory is asked for than is sensible.
  case tooLarge(Place, what: String, limit: String)

  package var description: String {
    let line =
      switch self {
      case .file(let path, let reason): "\(path): \(reason)"
      case .output(let error): error.description
      case .manifest(let package, let expected, let found):
        "\(package): Manifest.json: expected \(expected), found \(found); "
          + "copy the whole .mlpackage folder again"
      case .model(let package, let expected, let found):
        "\(package): model: expected \(expected), found \(found); convert to an ML Program again"
      case .text(let file, let line, let column, let expected, let found):
        "\(file):\(line):\(column): expected \(expected), found \(found); copy or compile the model again"
      case .weights(let file, let offset, let expected, let found):
        "\(file): record at \(offset): expected \(expected), found \(found); "
          + "the file is damaged, copy the package again"
      case .program(let place, let expected, let found):
        "\(place): expected \(expected), found \(found); the program is damaged or not supported"
      case .unknownOperation(let place, let hint):
        "\(place): this operation is not implemented; \(hint)"
      case .argument(let place, let name, let expected, let found):
        "\(place): argument '\(name)': expected \(expected), found \(found)"
      case .declaration(let place, let declared, let inferred):
        "\(place): declared \(declared), but the operation gives \(inferred)"
      case .input(let package, let name, let expected, let found):
        "\(package): '\(name)': expected \(expected), found \(found)"
      case .tooLarge(let place, let what, let limit):
        "\(place): \(what) is more than \(limit)"
      }
    // Names come from files: a line break in one must not break the line.
    return line.onOneLine
  }
}

/// Where in which package something is.
package struct Place: Sendable, Equatable, CustomStringConvertible {
  /// The package's path.
  package var package: String
  /// The operation's type.
  package var operation: String
  /// The name of the operation's first output, or of the value.
  package var name: String

  package init(package: String, operation: String, name: String) {
    self.package = package
    self.operation = operation
    self.name = name
  }

  package var description: String { "\(package): \(operation) '\(name.prefix(200))'" }
}

extension MILError {
  /// Lets a closure write files.
  static func writing<Result>(_ body: () throws(FileError) -> Result) throws(MILError) -> Result {
    do { return try body() } catch { throw .output(error) }
  }
}
