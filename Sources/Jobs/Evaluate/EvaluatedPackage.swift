internal import Generation
internal import StableDiffusion
internal import Tensors
internal import Training

extension PackageDenoiser {
  /// This package as the evaluation asks it: channels-last samples of the training engine.
  var asked: DenoisingEvaluation.Denoiser {
    { noisy, timestep, text in
      let shape = noisy.shape
      let sizes = sizeConditions(pooled: text.pooled?.shape[1] ?? 0).map {
        UNetConfiguration.sizes(height: 8 * shape[1], width: 8 * shape[2], rows: shape[0], count: $0)
      }
      return try self(noisy.channelsFirst(), timestep: timestep, text, DenoiserExtras(sizes: sizes)).channelsLast()
    }
  }
}
