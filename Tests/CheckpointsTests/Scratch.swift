import Checkpoints
import Foundation
import Kernels

/// A folder that lives as long as one test.
final class Scratch {
  let path: String

  init() {
    path = NSTemporaryDirectory() + "/sdtune-\(UUID().uuidString)"
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  @discardableResult
  func write(_ bytes: Data, _ name: String) -> String {
    try! bytes.write(to: URL(fileURLWithPath: file(name)))
    return file(name)
  }

  var contents: [String] { try! FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}

/// Path of a committed file or folder; `Fixtures/make_fixtures.py` says how they came about.
func fixture(_ name: String) -> String {
  Bundle.module.resourcePath! + "/Fixtures/" + name
}

func bytes(of path: String) -> Data { try! Data(contentsOf: URL(fileURLWithPath: path)) }

/// The same sequence on every run and machine (SplitMix64).
struct FixedRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// What an operation fails with, as its one line; nil if it does not fail.
func message(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}
