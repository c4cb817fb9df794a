internal import Tensors

/// What a run draws random numbers for: each has a stream of its own, so that none moves another.
enum RandomStream: UInt32 {
  case batch
  case noise
  case fisherInformation
  case teacherLatents
  case pictureShift
  case crop
  case posterior
  case variant
  case caption
  case tags
  case order
  case guidance
  case trajectory
  case calibration
}

extension CounterGenerator {
  init(seed: UInt64, _ stream: RandomStream, step: Int) {
    self.init(seed: seed, stream: stream.rawValue, step: step)
  }
}
