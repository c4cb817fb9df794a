/// Steps, checkpoints and an end on request: the one loop of all that trains.
struct TrainingLoop {
  let steps: Int
  /// Steps between checkpoints.
  let checkpointEvery: Int
  /// The checkpoint's file, for what is said when the run stops.
  let checkpoint: String
  /// Asked after every step.
  let control: RunControl
  /// Whether something holds on any rank: ranks stop and leave together.
  var isAny: (Bool) throws -> Bool = { $0 }

  /// Makes the steps that are left.
  ///
  /// - Parameters:
  ///   - done: steps so far.
  ///   - step: makes a step, and tells of it.
  ///   - write: writes a checkpoint.
  /// - Throws: ``TrainingError/interrupted(step:checkpoint:)``
  func callAsFunction(after done: Int, step: () throws -> Void, write: () throws -> Void) throws {
    // The longest so far; until one was written, a checkpoint is taken to take as long as a step.
    var (stepTime, writeTime) = (Duration.zero, Duration.zero)
    let clock = ContinuousClock()
    for number in done..<max(done, steps) {
      stepTime = try max(stepTime, clock.measure(step))
      let left = control.deadline.map { $0 - clock.now } ?? .seconds(Int64.max / 2)
      let isLate = left < stepTime + max(writeTime, stepTime) * 2
      let stopped = try isAny(control.isInterrupted() || isLate)
      let isDue = try isAny(control.takeCheckpointRequest()) || (number + 1) % checkpointEvery == 0
      if stopped || isDue { writeTime = try max(writeTime, clock.measure(write)) }
      // One that is gone ends the others, however little is missing of the checkpoint.
      if try isAny(stopped) { throw TrainingError.interrupted(step: number + 1, checkpoint: checkpoint) }
    }
  }
}
