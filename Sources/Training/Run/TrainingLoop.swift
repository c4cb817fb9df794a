/// Steps, checkpoints and an end on request: the one loop of all that trains.
struct TrainingLoop {
  let steps: Int
  /// Steps between checkpoints.
  let checkpointEvery: Int
  /// The checkpoint's file, for what is said when the run stops.
  let checkpoint: String
  /// Whether something holds on any rank: ranks stop and leave together.
  var isAny: (Bool) throws -> Bool = { $0 }

  /// Makes the steps that are left.
  ///
  /// - Parameters:
  ///   - done: steps so far.
  ///   - isInterrupted: asked after every step; the run then writes a checkpoint and throws.
  ///   - step: makes a step, and tells of it.
  ///   - write: writes a checkpoint.
  /// - Throws: ``TrainingError/interrupted(step:checkpoint:)``
  func callAsFunction(
    after done: Int, isInterrupted: () -> Bool, step: () throws -> Void, write: () throws -> Void
  ) throws {
    for number in done..<max(done, steps) {
      try step()
      let stopped = try isAny(isInterrupted())
      if stopped || (number + 1) % checkpointEvery == 0 { try write() }
      // One that is gone ends the others, however little is missing of the checkpoint.
      if try isAny(stopped) { throw TrainingError.interrupted(step: number + 1, checkpoint: checkpoint) }
    }
  }
}
