internal import Files
internal import Foundation

/// A run's log: one JSON object a line.
struct RunLog {
  private let path: String
  /// What the last line that stays says of all steps up to its own.
  let earlier: Totals

  /// Steps and what they took.
  struct Totals: Sendable {
    var steps = 0
    var seconds = 0.0
    var clusteringSeconds = 0.0
  }

  private struct Line: Decodable {
    let step: Int
    let seconds: Double?
    let clusteringSeconds: Double?
  }

  /// The log of a run that goes on after `step`: lines of later steps, which are made again, are dropped.
  init(_ path: String, after step: Int) throws {
    self.path = path
    let newline = UInt8(ascii: "\n")
    let found = FileManager.default.contents(atPath: path) ?? Data()
    let lines = found.split(separator: newline).compactMap { text in
      (try? JSONDecoder().decode(Line.self, from: text)).map { (text: text, line: $0) }
    }
    let kept = lines.filter { $0.line.step <= step }
    let contents = Data(kept.flatMap { $0.text + [newline] })
    if contents.isEmpty {
      try? FileManager.default.removeItem(atPath: path)
    } else if contents != found {
      try AtomicFile(path: path).write(contents)
    }
    guard let last = kept.last?.line, let seconds = last.seconds, last.step > 0 else {
      earlier = Totals()
      return
    }
    // What came between the last line and the checkpoint was as fast.
    let share = Double(step) / Double(last.step)
    earlier = Totals(steps: step, seconds: share * seconds, clusteringSeconds: share * (last.clusteringSeconds ?? 0))
  }

  func append(_ line: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let data = try encoder.encode(line) + Data("\n".utf8)
    try LineFile.append(data, to: path)
  }
}
