/// Distillation of the answer that classifier-free guidance makes of two (Ho & Salimans 2022).
package struct GuidanceRecipe: Codable, Sendable, Equatable {
  /// The guided answer's share of the loss; the rest is that of both answers by themselves. With any, every picture of a
  /// step is two rows of the network's: with its prompt and without.
  package var share: Double
  /// Each picture's guidance is drawn evenly from here…
  package var least: Double
  /// … to here.
  package var most: Double
  package var weights: Weights

  /// How much guided answers at different timesteps count.
  package enum Weights: String, Choice {
    /// All alike.
    case even
    /// By what an error there does to the picture, as it is measured before the first step.
    case picture
  }

  init() {
    share = 0
    least = 1
    most = 7.5
    weights = .even
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = GuidanceRecipe()
    share = try values.value(.share, defaults.share)
    least = try values.value(.least, defaults.least)
    most = try values.value(.most, defaults.most)
    weights = try values.value(.weights, defaults.weights)
  }

  /// A picture's guidance.
  ///
  /// - Parameter u: evenly drawn from 0 to 1.
  package func scale(at u: Float) -> Float { Float(least) + u * Float(most - least) }

  func validate() throws(RecipeError) {
    try Check.that((0...1).contains(share), "training.guidance.share", "between 0 and 1", share)
    try Check.that((1...100).contains(least), "training.guidance.least", "1 to 100", least)
    try Check.that(
      (least...100).contains(most), "training.guidance.most", "training.guidance.least to 100", most)
  }
}

/// States of a sampler under way, beside pictures with noise added.
package struct TrajectoryRecipe: Codable, Sendable, Equatable {
  /// Whose answers lead from one state to the next.
  package enum Leader: String, Choice {
    /// The network that is trained: it learns to come back from where its own errors lead.
    case student
    /// The full-precision network.
    case teacher
  }

  /// The share of a step's pictures that are such states.
  package var share: Double
  /// Steps from noise to picture.
  package var steps: Int
  package var leader: Leader

  init() {
    share = 0
    steps = 20
    leader = .student
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = TrajectoryRecipe()
    share = try values.value(.share, defaults.share)
    steps = try values.value(.steps, defaults.steps)
    leader = try values.value(.leader, defaults.leader)
  }

  func validate() throws(RecipeError) {
    try Check.that((0...1).contains(share), "training.trajectories.share", "between 0 and 1", share)
    try Check.that((1...1000).contains(steps), "training.trajectories.steps", "1 to 1000", steps)
  }
}
