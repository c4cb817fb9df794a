package import Tensors

/// A way from noise to a picture: which timesteps the network is asked at and what becomes of its answers.
///
/// Positions count calls of the network, from 0. Tensors are latents in any layout, all of one shape.
package protocol Sampler: Sendable {
  /// The timestep of every call.
  var timesteps: [Float] { get }

  /// What standard normal noise is multiplied by to be the first sample.
  var initialNoiseScale: Double { get }

  /// The sample as the network takes it.
  func modelInput(_ sample: Tensor, at position: Int) -> Tensor

  /// A clean picture with as much noise as the sample at `position` has.
  func noisy(_ clean: Tensor, _ noise: Tensor, at position: Int) -> Tensor

  /// The next sample.
  ///
  /// - Parameters:
  ///   - output: the network's answer at `position`
  ///   - noise: draws standard normal noise of the sample's shape
  mutating func step(
    _ output: Tensor, at position: Int, from sample: Tensor, noise: () -> Tensor
  ) -> SamplerStep
}

package struct SamplerStep: Sendable {
  /// The next sample.
  package let sample: Tensor
  /// The clean picture as predicted in this step, x₀.
  package let denoised: Tensor
}

extension Sampler {
  package var initialNoiseScale: Double { 1 }
  package func modelInput(_ sample: Tensor, at position: Int) -> Tensor { sample }
}

/// Rounds half to even, as NumPy and torch do.
func rounded(_ x: Double) -> Double { x.rounded(.toNearestOrEven) }

extension NoiseSchedule {
  /// ᾱ in double precision.
  func alpha(_ timestep: Int) -> Double { Double(cumulativeAlphas[timestep]) }

  /// Factors of sample and output that make the clean picture x₀.
  func denoisedFactors(alpha: Double) -> (sample: Double, output: Double) {
    let (signal, noise) = (alpha.squareRoot(), (1 - alpha).squareRoot())
    switch prediction {
    case .epsilon: return (1 / signal, -noise / signal)
    case .velocity: return (signal, -noise)
    }
  }

  /// Factors of sample and output that make the noise ε.
  func noiseFactors(alpha: Double) -> (sample: Double, output: Double) {
    switch prediction {
    case .epsilon: (0, 1)
    case .velocity: ((1 - alpha).squareRoot(), alpha.squareRoot())
    }
  }

  /// A deterministic step of DDIM (Song et al. 2021, equation 12 with η = 0) from one timestep to an earlier one.
  ///
  /// - Parameter output: the network's answer, of the sample's shape.
  package func stepped(_ sample: Tensor, _ output: Tensor, from timestep: Int, to next: Int) -> Tensor {
    // The last timestep of a schedule of zero terminal SNR has no signal to divide by.
    let (alpha, nextAlpha) = (max(self.alpha(timestep), 0x1p-24), self.alpha(next))
    let (clean, noise) = (denoisedFactors(alpha: alpha), noiseFactors(alpha: alpha))
    let (signal, rest) = (nextAlpha.squareRoot(), (1 - nextAlpha).squareRoot())
    return .combination(
      (signal * clean.sample + rest * noise.sample, sample), (signal * clean.output + rest * noise.output, output))
  }

  /// `√ᾱ x₀ + √(1 − ᾱ) ε` at one timestep.
  func noisy(_ clean: Tensor, _ noise: Tensor, alpha: Double) -> Tensor {
    .combination((alpha.squareRoot(), clean), ((1 - alpha).squareRoot(), noise))
  }
}
