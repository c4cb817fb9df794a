package import Foundation

package func bytes(of path: String) -> Data { try! Data(contentsOf: URL(fileURLWithPath: path)) }

/// What an operation fails with, as its one line; nil if it does not fail.
package func message(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}
