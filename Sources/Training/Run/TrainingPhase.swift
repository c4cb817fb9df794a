internal import Clustering
package import Recipes

/// What a step trains, and how hard the palettes are in it.
package enum TrainingPhase: Equatable, Sendable {
  /// Soft palettes; the number is the temperature as a multiple of each tensor's variance.
  case soft(temperature: Double)
  /// Every weight is its nearest entry, and entries follow the means of their cells.
  case hard
  /// Indices are frozen; entries, biases and norms are trained.
  case polish

  /// A short name for logs.
  package var name: String {
    switch self {
    case .soft: "soft"
    case .hard: "hard"
    case .polish: "polish"
    }
  }
}

extension Recipe {
  /// Steps with soft palettes.
  var softSteps: Int { training.steps - hardSteps - polishSteps }
  var hardSteps: Int { Int(clustering.hardShare * Double(training.steps)) }
  var polishSteps: Int { Int(clustering.polishShare * Double(training.steps)) }

  /// The step, counted from 0, before which indices are fixed.
  var polishStart: Int { softSteps + hardSteps }

  /// The phase of a step, counted from 0.
  package func phase(at step: Int) -> TrainingPhase {
    if step >= polishStart { return .polish }
    if step >= softSteps { return .hard }
    let temperature = clustering.temperature
    return .soft(
      temperature: Temperature.annealed(
        from: temperature.start, to: temperature.end, step: step, steps: softSteps))
  }

  /// Whether a step, counted from 0, trains every block of the UNet by itself.
  func trainsBlocksApart(at step: Int) -> Bool {
    step < Int(training.blockShare * Double(training.steps))
  }

  /// The learning rate of a step: a warm-up, then a cosine; polishing has a cosine of its own.
  package func learningRate(at step: Int) -> Double {
    if phase(at: step) == .polish {
      let done = Double(step - polishStart) / Double(max(1, polishSteps))
      return training.polishLearningRate * Schedule.cosine(done, floor: training.finalShare)
    }
    return training.learningRate
      * Schedule.warmCosine(training, step: step, steps: polishStart)
  }
}
