/// What a run is asked for from outside while it works.
package struct RunControl: Sendable {
  /// Whether it is to end after its step, with a checkpoint.
  package let isInterrupted: @Sendable () -> Bool
  /// Whether a checkpoint was asked for since this was read last.
  package let takeCheckpointRequest: @Sendable () -> Bool
  /// When it must have ended, checkpoint included.
  package let deadline: ContinuousClock.Instant?

  package init(
    isInterrupted: @escaping @Sendable () -> Bool, takeCheckpointRequest: @escaping @Sendable () -> Bool = { false },
    deadline: ContinuousClock.Instant? = nil
  ) {
    self.takeCheckpointRequest = takeCheckpointRequest
    self.deadline = deadline
    self.isInterrupted = { isInterrupted() || deadline.map { ContinuousClock.now >= $0 } ?? false }
  }
}
