internal import Layers
package import StableDiffusion
internal import Tensors

extension UNet {
  /// This network as the evaluation asks it.
  package var denoiser: DenoisingEvaluation.Denoiser {
    { noisy, timestep, text in
      let timesteps = Tensor(repeating: timestep, shape: [noisy.shape[0]])
      return self(noisy, timestep: timesteps, text)
    }
  }
}
