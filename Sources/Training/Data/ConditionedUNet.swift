package import StableDiffusion
package import Tensors

extension UNet {
  /// The network on training's latents.
  ///
  /// - Parameters:
  ///   - noisy: `[batch, height, width, channels]`
  ///   - timestep: `[batch]`
  ///   - text: a row a sample.
  ///   - teacher: see ``outputs(_:timestep:context:addition:residuals:following:)``.
  func outputs(
    _ noisy: Tensor, timestep: Tensor, _ text: Conditioning, following teacher: [Tensor]? = nil
  ) -> Outputs {
    let sizes = configuration.sizes(
      height: noisy.shape[1], width: noisy.shape[2], rows: noisy.shape[0], pooled: text.pooled?.shape[1] ?? 0)
    var addition: Addition?
    if let sizes, let pooled = text.pooled {
      addition = Addition(textEmbeddings: pooled, timeIdentifiers: sizes)
    }
    return outputs(noisy, timestep: timestep, context: text.states, addition: addition, following: teacher)
  }

  package func callAsFunction(_ noisy: Tensor, timestep: Tensor, _ text: Conditioning) -> Tensor {
    outputs(noisy, timestep: timestep, text).prediction
  }
}
