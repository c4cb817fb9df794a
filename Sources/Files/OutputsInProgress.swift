internal import Synchronization

/// Whether outputs are being written, and whether somebody wishes that they end.
///
/// A command that is told to stop while it writes must not leave half an output behind: the next write throws, and whoever
/// owns the output takes it away. All of it may be called by a signal's handler.
package enum OutputsInProgress {
  private static let count = Atomic<Int>(0)
  private static let isCancelled = Atomic<Bool>(false)

  static func begin() { count.add(1, ordering: .relaxed) }

  static func end() { count.subtract(1, ordering: .relaxed) }

  /// Lets outputs end with an error.
  ///
  /// - Returns: whether there are any.
  package static func cancel() -> Bool {
    isCancelled.store(true, ordering: .relaxed)
    return count.load(ordering: .relaxed) > 0
  }

  /// - Throws: ``FileError/cancelled(file:)`` if the output is to end.
  package static func check(_ file: String) throws(FileError) {
    if isCancelled.load(ordering: .relaxed) { throw .cancelled(file: file) }
  }
}
