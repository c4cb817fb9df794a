import Foundation
import Kernels
import Recipes
import StableDiffusion
import Tensors
import Testing
import Training

/// Samplers whose states are trained on.
@Suite struct TrajectoryTests {
  private func source(batch: Int, steps: Int) throws -> BatchSource {
    let json = #"{"steps": 1, "batchSize": \#(batch), "trajectories": {"share": 1, "steps": \#(steps)}}"#
    let training = try JSONDecoder().decode(TrainingRecipe.self, from: Data(json.utf8))
    let captions = Captions([(numbers: [1, 2, 3], empty: [0])])
    let samples = (0..<3).map { LatentDataset.Sample(rows: $0..<$0 + 1, captions: $0..<$0 + 1, original: .zero) }
    let size = LatentDataset.Size(shape: [1, 2, 2], samples: samples, drawn: [0, 1, 2], crops: [])
    let dataset = LatentDataset([size], captions, Numbers(), name: "numbers", magnification: 8)
    return BatchSource(dataset, training, try schedule(), seed: 5)
  }

  private struct Numbers: LatentRows {
    func row(_ size: Int, _ row: Int) -> (mean: Buffer, deviation: Buffer?) {
      (Buffer(repeating: Float(row) / 4, count: 4), nil)
    }
  }

  private func schedule() throws -> NoiseSchedule {
    let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try NoiseSchedule(folder: repository.appending(path: "checkpoints/emoji-sd/scheduler").path)
  }

  @Test func timestepsLeadFromNoiseToThePicture() throws {
    let source = try source(batch: 4, steps: 20)
    let trajectories = (0..<50).map { source.trajectory($0) }
    for trajectory in trajectories {
      #expect(trajectory.timesteps.count == 20)
      #expect(zip(trajectory.timesteps, trajectory.timesteps.dropFirst()).allSatisfy { $0 > $1 })
      #expect((949..<1000).contains(trajectory.timesteps[0]) && (0..<50).contains(trajectory.timesteps[19]))
      #expect(trajectory.guidance >= 1 && trajectory.guidance <= 7.5)
    }
    // Not one grid for all: networks are asked at every timestep.
    #expect(Set(trajectories.map { $0.timesteps[0] }).count > 20)
    #expect(source.trajectory(7).noise.elements == trajectories[7].noise.elements)
  }

  /// Whose noise is known comes back to the picture: √ᾱ x₀ + √(1 − ᾱ) ε of timestep 0, whatever the steps.
  @Test func knownNoiseLeadsBackToThePicture() throws {
    let (source, schedule) = (try source(batch: 1, steps: 7), try schedule())
    let trajectory = source.trajectory(0)
    let clean = Tensor([1, 2, 2, 1], [0.5, -1, 2, 0])
    var latents = schedule.noisy(clean, trajectory.noise, at: [trajectory.timesteps[0]])
    for position in 0..<7 {
      latents = trajectory.next(
        latents, conditional: trajectory.noise, unconditional: trajectory.noise, at: position, schedule)
    }
    let expected = schedule.noisy(clean, trajectory.noise, at: [0]).elements
    for (x, y) in zip(latents.elements, expected) { #expect(abs(x - y) < 1e-4) }
  }

  /// Samplers are spread over the way, move on together, and begin anew where theirs ends.
  @Test func samplersMoveOnAndBeginAnew() throws {
    let source = try source(batch: 4, steps: 8)
    let trajectories = Trajectories(batches: source, samplers: 0..<4)
    var states = try trajectories.start()
    let first = trajectories.batch(states, after: 0)
    #expect(first.noisy.shape == [8, 2, 2, 1] && first.guidance?.count == 4)
    // Sampler 1 begins two steps of eight on its way.
    let starts = (0..<4).map { Int(first.timesteps.elements[$0]) }
    #expect(starts == (0..<4).map { source.trajectory($0).timesteps[2 * $0] })
    for steps in 0..<8 {
      let batch = trajectories.batch(states, after: steps)
      states = trajectories.next(states, after: steps, batch.noisy)
    }
    // After eight steps sampler 0 is at the noise of its next trajectory.
    #expect(states[0]?.elements == source.trajectory(4).noise.elements)
    let again = trajectories.batch(states, after: 8)
    #expect(
      (0..<4).map { Int(again.timesteps.elements[$0]) } == (0..<4).map { source.trajectory(4 + $0).timesteps[2 * $0] })
    // Another rank's samplers are those it has of all.
    let second = Trajectories(batches: source, samplers: 2..<4)
    #expect(
      try second.batch(second.start(), after: 0).timesteps.elements
        == [2, 3, 6, 7].map { first.timesteps.elements[$0] })
  }
}
