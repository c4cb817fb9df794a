import Foundation

/// Lends a folder that is removed afterwards; `SDTUNE_KEEP_PACKAGES` names one to keep instead, for
/// other tools to check.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  if let kept = ProcessInfo.processInfo.environment["SDTUNE_KEEP_PACKAGES"] {
    try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
    return try body(kept)
  }
  let path = NSTemporaryDirectory() + "sdtune-runtime-" + UUID().uuidString
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

/// A small fixed-seed generator.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
