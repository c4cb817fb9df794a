internal import Foundation
internal import Kernels
package import Tensors

/// How much noise each timestep adds, from a model's `scheduler_config.json`.
///
///     x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε
///
/// Known to diffusers as `DDPMScheduler.add_noise` (Ho et al. 2020).
public struct NoiseSchedule: Sendable, Equatable {
  /// What the network predicts.
  public enum Prediction: String, Sendable {
    case epsilon
    /// `v = √ᾱ ε − √(1 − ᾱ) x₀` (Salimans & Ho 2022).
    case velocity = "v_prediction"
  }

  /// ᾱ_t, the share of the picture's variance that is left at each timestep.
  public let cumulativeAlphas: [Float]
  public let prediction: Prediction

  public var timesteps: Int { cumulativeAlphas.count }

  /// Stable Diffusion's training schedule.
  public init(
    betaStart: Double = 0.00085, betaEnd: Double = 0.012, schedule: String = "scaled_linear",
    timesteps: Int = 1000, prediction: Prediction = .epsilon
  ) {
    let scaled = schedule == "scaled_linear"
    let (start, end) =
      scaled ? (betaStart.squareRoot(), betaEnd.squareRoot()) : (betaStart, betaEnd)
    var product = 1.0
    cumulativeAlphas = (0..<timesteps).map { step in
      let value = start + (end - start) * Double(step) / Double(max(1, timesteps - 1))
      product *= 1 - (scaled ? value * value : value)
      return Float(product)
    }
    self.prediction = prediction
  }

  /// - Parameter folder: the model's `scheduler` folder.
  public init(folder: String) throws(ConfigurationError) {
    let json = try JSONConfiguration(file: folder + "/scheduler_config.json")
    let schedule = try json.string("beta_schedule", default: "linear")
    guard schedule == "scaled_linear" || schedule == "linear" else {
      throw .unsupported(
        json.file, key: "beta_schedule", value: schedule, expected: "scaled_linear or linear")
    }
    let name = try json.string("prediction_type", default: "epsilon")
    guard let prediction = Prediction(rawValue: name) else {
      throw .unsupported(
        json.file, key: "prediction_type", value: name, expected: "epsilon or v_prediction")
    }
    self.init(
      betaStart: try json.number("beta_start", default: 0.0001),
      betaEnd: try json.number("beta_end", default: 0.02), schedule: schedule,
      timesteps: try json.integer("num_train_timesteps", default: 1000), prediction: prediction)
  }

  /// Noisy pictures, each at its own timestep.
  ///
  /// - Parameters:
  ///   - clean: `[batch, …]`
  ///   - noise: standard normal, of the same shape.
  package func noisy(_ clean: Tensor, _ noise: Tensor, at timesteps: [Int]) -> Tensor {
    combine(clean, noise, timesteps) { alpha in (alpha.squareRoot(), (1 - alpha).squareRoot()) }
  }

  /// What the network should predict for these pictures and this noise.
  package func target(_ clean: Tensor, _ noise: Tensor, at timesteps: [Int]) -> Tensor {
    switch prediction {
    case .epsilon: noise
    case .velocity:
      combine(clean, noise, timesteps) { alpha in (-(1 - alpha).squareRoot(), alpha.squareRoot()) }
    }
  }

  /// What a sample's squared error is to count for so that none has more than `limit` times the weight of a predicted
  /// picture's (Hang et al. 2023, equation 8).
  package func minimumSNRWeight(at timestep: Int, limit: Float) -> Float {
    let alpha = cumulativeAlphas[timestep]
    let ratio = alpha / (1 - alpha)
    return switch prediction {
    case .epsilon: min(ratio, limit) / ratio
    case .velocity: min(ratio, limit) / (ratio + 1)
    }
  }

  private func combine(
    _ clean: Tensor, _ noise: Tensor, _ timesteps: [Int],
    _ factors: (Float) -> (clean: Float, noise: Float)
  ) -> Tensor {
    precondition(
      clean.shape == noise.shape && clean.shape[0] == timesteps.count,
      "noise: \(clean.shape), \(noise.shape), \(timesteps.count) timesteps")
    let pairs = timesteps.map { factors(cumulativeAlphas[$0]) }
    let column = Shape(
      [timesteps.count] + [Int](repeating: 1, count: clean.shape.rank - 1))
    return clean * Tensor(column, pairs.map(\.clean))
      + noise * Tensor(column, pairs.map(\.noise))
  }
}
