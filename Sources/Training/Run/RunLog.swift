internal import Foundation

/// A run's log: one JSON object a line; it outlives restarts.
struct RunLog {
  private let path: String

  init(_ path: String) { self.path = path }

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
