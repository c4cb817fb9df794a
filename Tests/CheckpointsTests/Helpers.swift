import Checkpoints
import Foundation
import Kernels

/// Path of a committed file or folder; `Fixtures/make_fixtures.py` says how they came about.
func fixture(_ name: String) -> String {
  Bundle.module.resourcePath! + "/Fixtures/" + name
}

func bytes(of path: String) -> Data { try! Data(contentsOf: URL(fileURLWithPath: path)) }

/// What an operation fails with, as its one line; nil if it does not fail.
func message(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}
