import Foundation
import Testing
import WeightFiles

/// The folder of reference values: `SDTUNE_REFERENCES`, or the committed ones.
enum References {
  static let folder: String =
    ProcessInfo.processInfo.environment["SDTUNE_REFERENCES"]
    ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("References").path

  static func path(_ name: String) -> String { "\(folder)/dkm/\(name)" }

  static func tensors(_ name: String) throws -> SafetensorsFile {
    try SafetensorsFile(path: path(name))
  }

  /// Files of `dkm/` whose name starts with `prefix`.
  static func files(_ prefix: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/dkm")) ?? []
    return names.filter { $0.hasPrefix(prefix) && $0.hasSuffix(".safetensors") }.sorted()
  }

  /// Prints the line of one case and expects it to hold.
  static func report(
    _ name: String, error: Double, bound: Double, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let pass = error <= bound
    let format = { (x: Double) in String(format: "%.1e", x) }
    print("\(name)  error \(format(error))  bound \(format(bound))  \(pass ? "pass" : "FAIL")")
    #expect(pass, "\(name): \(error) > \(bound)", sourceLocation: sourceLocation)
  }
}

/// max|a - b| / max|b|
func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  let scale = b.reduce(0) { max($0, abs($1)) }
  let difference = zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
  guard difference.isFinite else { return .infinity }
  return scale > 0 ? difference / scale : difference
}
