internal import Foundation
internal import Kernels
package import Tensors

/// How much noise each timestep adds, from a model's `scheduler_config.json`.
///
///     x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε
///
/// Known to diffusers as `DDPMScheduler.add_noise` (Ho et al. 2020).
package struct NoiseSchedule: Sendable, Equatable {
  /// What the network predicts.
  package enum Prediction: String, Sendable {
    case epsilon
    /// `v = √ᾱ ε − √(1 − ᾱ) x₀` (Salimans & Ho 2022).
    case velocity = "v_prediction"
  }

  /// ᾱ_t, the share of the picture's variance that is left at each timestep.
  package let cumulativeAlphas: [Float]
  package let prediction: Prediction

  package var timesteps: Int { cumulativeAlphas.count }

  /// How β grows over the timesteps.
  package enum Growth: String, Sendable, CaseIterable {
    case linear
    /// Linear in √β; Stable Diffusion's.
    case scaledLinear = "scaled_linear"
    /// From ᾱ = cos²(…) (Nichol & Dhariwal 2021).
    case cosine = "squaredcos_cap_v2"
  }

  /// Stable Diffusion's training schedule.
  ///
  /// β is rounded to 32 bits before the product, as diffusers' tables are: near the clean end 1 − ᾱ keeps few digits.
  ///
  /// - Parameter zeroTerminalSNR: whether to shift √ᾱ so that the last timestep is pure noise (Lin et al. 2024,
  ///   algorithm 1).
  package init(
    betaStart: Double = 0.00085, betaEnd: Double = 0.012, growth: Growth = .scaledLinear,
    timesteps: Int = 1000, zeroTerminalSNR: Bool = false, prediction: Prediction = .epsilon
  ) {
    var betas = Self.betas(growth, betaStart, betaEnd, timesteps)
    if zeroTerminalSNR { betas = Self.shifted(betas) }
    cumulativeAlphas = Self.cumulative(betas)
    self.prediction = prediction
  }

  static func betas(_ growth: Growth, _ start: Double, _ end: Double, _ count: Int) -> [Float] {
    func line(_ first: Double, _ last: Double) -> [Float] {
      (0..<count).map { Float(first + (last - first) * Double($0) / Double(max(1, count - 1))) }
    }
    switch growth {
    case .linear: return line(start, end)
    case .scaledLinear: return line(start.squareRoot(), end.squareRoot()).map { $0 * $0 }
    case .cosine:
      func alpha(_ time: Double) -> Double {
        let angle = cos((time + 0.008) / 1.008 * .pi / 2)
        return angle * angle
      }
      return (0..<count).map { step in
        let (here, next) = (Double(step) / Double(count), Double(step + 1) / Double(count))
        return Float(min(1 - alpha(next) / alpha(here), 0.999))
      }
    }
  }

  private static func cumulative(_ betas: [Float]) -> [Float] {
    var product = 1.0
    return betas.map { beta in
      product *= Double(1 - beta)
      return Float(product)
    }
  }

  private static func shifted(_ betas: [Float]) -> [Float] {
    let roots = cumulative(betas).map { $0.squareRoot() }
    guard let first = roots.first, let last = roots.last, first > last else { return betas }
    let shifted = roots.map { root -> Float in
      let moved = (root - last) * (first / (first - last))
      return moved * moved
    }
    return shifted.indices.map { step in
      1 - (step == 0 ? shifted[0] : shifted[step] / shifted[step - 1])
    }
  }

  /// - Parameter folder: the model's `scheduler` folder.
  package init(folder: String) throws(ConfigurationError) {
    try self.init(JSONConfiguration(file: folder + "/scheduler_config.json"))
  }

  package init(_ json: JSONConfiguration) throws(ConfigurationError) {
    let schedule = try json.string("beta_schedule", default: "linear")
    guard let growth = Growth(rawValue: schedule) else {
      throw .unsupported(
        json.file, key: "beta_schedule", value: schedule,
        expected: "scaled_linear, linear or squaredcos_cap_v2")
    }
    let name = try json.string("prediction_type", default: "epsilon")
    guard let prediction = Prediction(rawValue: name) else {
      throw .unsupported(
        json.file, key: "prediction_type", value: name, expected: "epsilon or v_prediction")
    }
    self.init(
      betaStart: try json.number("beta_start", default: 0.0001),
      betaEnd: try json.number("beta_end", default: 0.02), growth: growth,
      timesteps: try json.whole("num_train_timesteps", default: 1000, in: 2...1_000_000),
      zeroTerminalSNR: try json.boolean("rescale_betas_zero_snr", default: false),
      prediction: prediction)
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
    let alpha = positiveAlpha(timestep)
    let ratio = alpha / (1 - alpha)
    return switch prediction {
    case .epsilon: min(ratio, limit) / ratio
    case .velocity: min(ratio, limit) / (ratio + 1)
    }
  }

  /// ᾱ, but never the 0 that the last timestep of a schedule of zero terminal SNR has.
  private func positiveAlpha(_ timestep: Int) -> Float { max(cumulativeAlphas[timestep], 0x1p-24) }

  /// What a sample's squared error is divided by so that samples of much noise count more: `ᾱ` to a power.
  package func signalPower(at timestep: Int, exponent: Float) -> Float {
    powf(positiveAlpha(timestep), exponent)
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
