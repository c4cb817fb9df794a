import Kernels
import StableDiffusion
import Tensors
import Testing

/// DPM-Solver as ml-stable-diffusion's `DPMSolverMultistepScheduler.swift` has it: timesteps are
/// `round(linspace(0, 999, steps + 1))` without the first, and in runs of less than 15 steps the last two are of the
/// first order.
@Suite struct AppleSamplingTests {
  private func sampler(steps: Int) throws -> any Sampler {
    var configuration = try SamplerConfiguration(stableDiffusion: .dpmSolver)
    configuration.followApple()
    return try configuration.sampler(steps: steps)
  }

  @Test func timestepsAreEvenlySpaced() throws {
    let expected = (1...10).reversed().map { Float((999 * Double($0) / 10).rounded()) }
    #expect(try sampler(steps: 10).timesteps == expected)
  }

  /// A step of the first order does not see what the one before it predicted.
  @Test(arguments: [(10, [true, false, false]), (20, [true, true, true])])
  func lastStepsSeeNoHistory(steps: Int, seen: [Bool]) throws {
    for (left, sees) in zip([3, 2, 1], seen) {
      let results = try [Float(0.1), 0.2].map { earlier in
        var sampler = try sampler(steps: steps)
        let position = steps - left
        for before in 0..<position {
          _ = sampler.step(output(earlier), at: before, from: output(1)) { output(0) }
        }
        return sampler.step(output(0.3), at: position, from: output(1)) { output(0) }.sample.elements
      }
      #expect((results[0] != results[1]) == sees, "\(left) of \(steps) steps left")
    }
  }

  private func output(_ value: Float) -> Tensor { Tensor(repeating: value, shape: [1, 4, 2, 2]) }
}
