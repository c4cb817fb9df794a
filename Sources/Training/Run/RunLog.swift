internal import Foundation

/// A run's log: one JSON object a line.
struct RunLog {
  private let path: String

  /// - Parameter continues: whether the lines of an earlier part of the run stay.
  init(_ path: String, continues: Bool) {
    self.path = path
    if !continues { try? FileManager.default.removeItem(atPath: path) }
  }

  func append(_ line: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let data = try encoder.encode(line) + Data("\n".utf8)
    guard let handle = FileHandle(forWritingAtPath: path) else {
      return try data.write(to: URL(filePath: path))
    }
    defer { try? handle.close() }
    try handle.seekToEnd()
    try handle.write(contentsOf: data)
  }
}
