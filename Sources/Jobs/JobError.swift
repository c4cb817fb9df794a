/// What a command was asked that cannot be done; each one line.
package enum JobError: Error, CustomStringConvertible, Equatable {
  /// A file or folder that is none of the kinds a command takes.
  case notATarget(path: String, expected: String)
  /// A named input is missing or has another shape.
  case input(target: String, name: String, expected: String, found: String)
  /// A recipe file that cannot be read.
  case unreadable(path: String, reason: String)
  /// A command-line value out of range.
  case option(name: String, expected: String, found: String)

  package var description: String {
    switch self {
    case .notATarget(let path, let expected): "\(path): expected \(expected)"
    case .input(let target, let name, let expected, let found):
      "\(target): input '\(name)': expected \(expected), found \(found)"
    case .unreadable(let path, let reason): "\(path): cannot be read: \(reason)"
    case .option(let name, let expected, let found):
      "\(name): expected \(expected), found \(found)"
    }
  }
}
