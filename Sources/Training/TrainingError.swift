/// What can stop a run; each one line.
package enum TrainingError: Error, CustomStringConvertible, Equatable {
  /// A number is no longer finite.
  case diverged(step: Int, place: String, reason: String)
  /// The learning rate was halved as often as it may be, and the run diverged again.
  case keepsDiverging(last: String)
  /// A checkpoint is damaged, and there are older ones.
  case damaged(String, older: String)
  /// A run's folder cannot be used.
  case folder(String, reason: String)
  /// Another process works on the same files.
  case busy(String)
  /// The data does not fit the model.
  case mismatch(what: String, expected: String, found: String)
  /// The checkpoint belongs to another recipe.
  case otherRecipe(file: String, difference: String)
  /// There is no checkpoint to continue from.
  case nothingToResume(file: String)
  /// The run was asked to stop; the checkpoint holds all steps done.
  case interrupted(step: Int, checkpoint: String)
  /// Of a set of pictures more cannot be used than may be.
  case unusable(set: String, count: Int, of: Int, first: String, list: String)
  /// The user asked to stop work that keeps no checkpoint.
  case stopped(what: String)

  /// Whether the run ended as it was asked to.
  package var isRequest: Bool {
    switch self {
    case .interrupted, .stopped: true
    default: false
    }
  }

  /// Whether a number is no longer finite.
  var isDivergence: Bool { if case .diverged = self { true } else { false } }

  /// Of a divergence, where and when it was.
  var place: String {
    if case .diverged(let step, let place, let reason) = self { "step \(step): \(place): \(reason)" } else { "" }
  }

  package var description: String {
    switch self {
    case .diverged(let step, let place, let reason):
      "step \(step): \(place): \(reason); nothing of it was kept: lower training.learningRate, or go on from the last "
        + "checkpoint with --resume --set training.onNaN=rollback"
    case .keepsDiverging(let last): "the learning rate was halved four times, and yet: \(last)"
    case .damaged(let line, let older): "\(line): \(older) is the next one: cp it to state.h5"
    case .folder(let path, let reason): "\(path): \(reason)"
    case .busy(let line): line
    case .mismatch(let what, let expected, let found):
      "\(what): expected \(expected), found \(found)"
    case .otherRecipe(let file, let difference):
      "\(file): the checkpoint is of another recipe (\(difference)): use the same one, or another --output"
    case .nothingToResume(let file):
      "\(file): no checkpoint to resume from: run without --resume first"
    case .interrupted(let step, let checkpoint):
      "interrupted after step \(step); continue with --resume (checkpoint \(checkpoint))"
    case .unusable(let set, let count, let all, let first, let list):
      "\(set): \(count) of \(all) pictures cannot be used, more than pictures.unusable allows: first \(first); all are "
        + "named in \(list)"
    case .stopped(let what): "interrupted during \(what)"
    }
  }
}
