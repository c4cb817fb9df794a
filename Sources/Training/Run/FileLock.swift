internal import Foundation

/// A lock on a file that the system lets go of when the process ends, however it ends.
package final class FileLock: Sendable {
  private let descriptor: Int32

  /// - Parameter busy: what to say when another process has it.
  package init(_ path: String, busy: String) throws(TrainingError) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .folder(path, reason: String(cString: strerror(errno))) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw .busy(busy) }
  }

  deinit { close(descriptor) }
}
