import Foundation
import Kernels
import StableDiffusion
import Tensors
import TestSupport
import Testing
import Training
import WeightFiles

/// What a training step makes its batch and its update of, against diffusers and torch.
@Suite struct TrainingQuantitiesTests {
  /// `DDPMScheduler.add_noise` and `get_velocity`, and min-SNR's weights with γ = 5: bound 2e-6, a few roundings of ᾱ,
  /// which is a product of a thousand factors.
  @Test(
    .enabled(if: References.exists("backward/ddpm_training.safetensors")),
    arguments: [NoiseSchedule.Prediction.epsilon, .velocity])
  func noiseAndItsWeights(prediction: NoiseSchedule.Prediction) throws {
    let file = try References.safetensors("backward/ddpm_training.safetensors")
    let schedule = NoiseSchedule(prediction: prediction)
    let (clean, noise) = (try file.tensor("in/latents"), try file.tensor("in/noise"))
    let timesteps = try file.integers("in/timesteps")
    let isNoise = prediction == .epsilon
    let weights = schedule.cumulativeAlphas.indices.map { schedule.minimumSNRWeight(at: $0, limit: 5) }
    let target = isNoise ? "in/noise" : "velocity"
    let golden = isNoise ? "min_snr5_weight_epsilon" : "min_snr5_weight_v"
    for (name, found) in [
      ("alphas_cumprod", schedule.cumulativeAlphas),
      ("add_noise", schedule.noisy(clean, noise, at: timesteps).elements),
      (target, schedule.target(clean, noise, at: timesteps).elements), (golden, weights),
    ] {
      let result = ParityCase(
        "training/\(prediction.rawValue)/\(name)", error: relativeError(found, try file.floats(name).elements),
        bound: 2e-6)
      #expect(result.holds, "\(result)")
    }
  }

  /// Ten steps of `torch.optim.AdamW` from the golden gradients: bound 1e-6 a parameter.
  @Test(.enabled(if: References.exists("backward/optim_toy.safetensors")))
  func adamWMatchesTorch() throws {
    let file = try References.safetensors("backward/optim_toy.safetensors")
    let optimizer = AdamW(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1)
    let parameter = Buffer(try file.floats("adamw/p0").elements)
    let moments = AdamW.Moments(count: parameter.count)
    for step in 1...10 {
      optimizer.update(
        parameter, moments, gradient: try file.floats("adamw/g\(step)"), learningRate: 0.05, step: step)
      let golden = try file.floats("adamw/p\(step)").elements
      let result = ParityCase(
        "training/adamw/step\(step)", error: relativeError(parameter.elements, golden), bound: 1e-6)
      #expect(result.holds, "\(result)")
    }
  }
}
