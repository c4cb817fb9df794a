package import StableDiffusion
package import Tensors

extension UNet {
  /// The network on training's latents.
  ///
  /// - Parameters:
  ///   - noisy: `[batch, height, width, channels]`
  ///   - timestep: `[batch]`
  ///   - text: a row a sample.
  ///   - sizes: what SDXL is told of each sample's picture, six numbers each; nil for uncropped pictures as large as the
  ///     latents say.
  ///   - teacher: see ``outputs(_:timestep:context:addition:residuals:following:)``.
  func outputs(
    _ noisy: Tensor, timestep: Tensor, _ text: Conditioning, sizes: [[Float]]? = nil,
    following teacher: [Tensor]? = nil
  ) -> Outputs {
    let addition = text.pooled.flatMap { pooled in
      timeIdentifiers(noisy, sizes, pooled: pooled.shape[1]).map {
        Addition(textEmbeddings: pooled, timeIdentifiers: $0)
      }
    }
    return outputs(noisy, timestep: timestep, context: text.states, addition: addition, following: teacher)
  }

  private func timeIdentifiers(_ noisy: Tensor, _ sizes: [[Float]]?, pooled: Int) -> Tensor? {
    guard let sizes, let textTime = configuration.textTime else {
      return configuration.sizes(
        height: noisy.shape[1], width: noisy.shape[2], rows: noisy.shape[0], pooled: pooled)
    }
    // The refiner is told an aesthetic score instead of the target size.
    let isRefiner = (textTime.projectionInputs - pooled) / textTime.timeFeatures == 5
    let rows = isRefiner ? sizes.map { $0.prefix(4) + [6] } : sizes
    return Tensor([rows.count, isRefiner ? 5 : 6], rows.flatMap { $0 })
  }

  /// The network on a batch of training.
  func outputs(_ batch: TrainingBatch, _ text: Conditioning, following teacher: [Tensor]? = nil) -> Outputs {
    outputs(batch.noisy, timestep: batch.timesteps, text, sizes: batch.sizes, following: teacher)
  }

  package func callAsFunction(_ noisy: Tensor, timestep: Tensor, _ text: Conditioning) -> Tensor {
    outputs(noisy, timestep: timestep, text).prediction
  }
}
