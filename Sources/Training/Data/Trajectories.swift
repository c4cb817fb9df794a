internal import Recipes
internal import StableDiffusion
package import Tensors

/// Samplers under way whose states a run learns from, one for each picture of a step, each at another timestep.
///
/// What they are told is a function of seed and steps; where they are is the run's state, by sampler:
/// `[1, height, width, channels]`.
package struct Trajectories: Sendable {
  let batches: BatchSource
  /// Numbers of this rank's samplers.
  let samplers: Range<Int>

  package init(batches: BatchSource, samplers: Range<Int>) {
    self.batches = batches
    self.samplers = samplers
  }

  /// Where a sampler is after so many steps of all.
  private func place(_ sampler: Int, after steps: Int) -> (trajectory: Int, position: Int) {
    let (length, count) = (batches.training.trajectories.steps, batches.training.batchSize)
    // Samplers are spread over the timesteps.
    let all = steps + sampler * length / count
    return (all / length * count + sampler, all % length)
  }

  /// The states before the first step: noise, and noisy pictures for those that begin on the way.
  package func start() throws -> [Int: Tensor] {
    try states { sampler in
      let place = place(sampler, after: 0)
      let trajectory = batches.trajectory(place.trajectory)
      guard place.position > 0 else { return trajectory.noise }
      let row = sampler % batches.dataset.sizes[0].samples.count
      let clean = try batches.dataset.latents(.init(size: 0, rows: [row])) { [Float](repeating: 0, count: $0) }
      return batches.schedule.noisy(
        clean.channelsLast(), trajectory.noise, at: [trajectory.timesteps[place.position]])
    }
  }

  /// What the network is asked now.
  package func batch(_ states: [Int: Tensor], after steps: Int) -> TrainingBatch {
    batches.batch(
      samplers.map { sampler in
        let place = place(sampler, after: steps)
        return (batches.trajectory(place.trajectory), place.position, latents(states, sampler))
      })
  }

  /// The states a step later.
  ///
  /// - Parameter answers: to ``batch(_:after:)``, `[2 · samplers, height, width, channels]`.
  package func next(_ states: [Int: Tensor], after steps: Int, _ answers: Tensor) -> [Int: Tensor] {
    self.states { sampler in
      let (here, next) = (place(sampler, after: steps), place(sampler, after: steps + 1))
      guard next.position > 0 else { return batches.trajectory(next.trajectory).noise }
      let row = sampler - samplers.lowerBound
      return batches.trajectory(here.trajectory).next(
        latents(states, sampler), conditional: answers.rows([row]), unconditional: answers.rows([samplers.count + row]),
        at: here.position, batches.schedule)
    }
  }

  private func states(_ state: (Int) throws -> Tensor) rethrows -> [Int: Tensor] {
    Dictionary(uniqueKeysWithValues: try samplers.map { ($0, try state($0)) })
  }

  private func latents(_ states: [Int: Tensor], _ sampler: Int) -> Tensor {
    guard let latents = states[sampler] else { preconditionFailure("trajectories: no sampler \(sampler)") }
    return latents
  }
}
