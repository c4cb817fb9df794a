internal import Generation
internal import Tensors
internal import Training

extension PackageDenoiser {
  /// This package as the evaluation asks it: channels-last samples of the training engine, without size conditions.
  var asked: DenoisingEvaluation.Denoiser {
    { noisy, timestep, context in
      try self(
        noisy.channelsFirst(), timestep: timestep, Conditioning(states: context), DenoiserExtras()
      ).channelsLast()
    }
  }
}
