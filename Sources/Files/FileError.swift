/// What can be wrong with a weight file, a data file, a configuration or a checkpoint; each one line.
package enum FileError: Error, Equatable, CustomStringConvertible {
  /// The file cannot be opened or read at all.
  case cannotRead(file: String, reason: String)
  /// The file cannot be written; what was there before is untouched.
  case cannotWrite(file: String, reason: String)
  /// The command was told to stop; what was there before is untouched.
  case cancelled(file: String)
  /// Something stands under an output's name that is not replaced.
  case occupied(path: String, kind: String)
  /// The file is not what its name says.
  case malformed(file: String, expected: String, found: String)
  /// One tensor, dataset or attribute in the file is not what the format demands.
  case malformedItem(file: String, item: String, expected: String, found: String)
  /// A tensor, dataset or attribute that was asked for is not there.
  case missing(file: String, item: String)
  /// A folder holds no weights.
  case noWeights(folder: String, lookedFor: [String], found: [String])
  /// A checkpoint whose writing did not come to its end, or that was cut off since.
  case incomplete(file: String, expected: String, found: String)
  /// An array whose bytes are not those that were written.
  case damaged(file: String, item: String, expected: String, found: String)

  package var description: String { line.onOneLine }

  private var line: String {
    switch self {
    case .cannotRead(let file, let reason): "\(file): cannot be read: \(reason)"
    case .cannotWrite(let file, let reason):
      "\(file): cannot be written: \(reason); the previous file, if any, is untouched"
    case .cancelled(let file): "interrupted; \(file) is as it was"
    case .occupied(let path, let kind):
      "\(path): it exists and is no \(kind); choose another name for the output"
    case .malformed(let file, let expected, let found):
      "\(file): expected \(expected), found \(found)"
    case .malformedItem(let file, let item, let expected, let found):
      "\(file): \(item): expected \(expected), found \(found)"
    case .missing(let file, let item): "\(file): no \(item)"
    case .noWeights(let folder, let lookedFor, let found):
      "\(folder): no weights: expected \(lookedFor.prefix(2).joined(separator: " or ")), a shard index, an .fp16 variant or "
        + ".bin; found " + Self.list(found)
    case .incomplete(let file, let expected, let found):
      "\(file): not a complete checkpoint: expected \(expected), found \(found); "
        + "use an older checkpoint"
    case .damaged(let file, let item, let expected, let found):
      "\(file): \(item): damaged: expected \(expected), found \(found); use an older checkpoint"
    }
  }

  /// The first few of a folder's names.
  private static func list(_ names: [String]) -> String {
    guard !names.isEmpty else { return "nothing there" }
    return names.prefix(6).joined(separator: ", ") + (names.count > 6 ? " and \(names.count - 6) more" : "")
  }
}
