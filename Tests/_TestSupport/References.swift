package import Foundation
package import WeightFiles

/// Golden numbers: the folder in `SDTUNE_REFERENCES`, or the repository's own set.
package enum References {
  package static let folder: URL = {
    if let path = ProcessInfo.processInfo.environment["SDTUNE_REFERENCES"], !path.isEmpty {
      return URL(filePath: path)
    }
    return URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "References")
  }()

  package static func path(_ name: String) -> String { folder.appending(path: name).path }

  package static func exists(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: path(name))
  }

  package static func safetensors(_ name: String) throws -> SafetensorsFile {
    try SafetensorsFile(path: path(name))
  }

  /// Names of the folders or files inside `name`, sorted.
  package static func entries(_ name: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path(name))) ?? []).sorted()
  }

  package static func json(_ name: String) throws -> Any {
    try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path(name))))
  }
}

/// One compared quantity: printed as a line, and counted against its bound.
package struct ParityCase: Sendable, CustomStringConvertible {
  package let name: String
  package let error: Double
  package let bound: Double

  /// - Parameter error: NaN counts as a failure.
  package init(_ name: String, error: Double, bound: Double) {
    self.name = name
    self.error = error
    self.bound = bound
    print(description)
  }

  package var holds: Bool { error <= bound }

  package var description: String {
    let figures = String(format: "error %.2e  bound %.1e", error, bound)
    return "parity \(name)  \(figures)  \(holds ? "pass" : "FAIL")"
  }
}

/// `max |a − b| / max |b|`; infinite when the counts differ.
package func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  guard a.count == b.count, !a.isEmpty else { return a.count == b.count ? 0 : .infinity }
  var difference = 0.0
  var peak = 0.0
  for (x, y) in zip(a, b) {
    guard x.isFinite, y.isFinite else { return .nan }
    difference = max(difference, Double(abs(x - y)))
    peak = max(peak, Double(abs(y)))
  }
  return peak == 0 ? difference : difference / peak
}
