internal import Clustering
internal import Foundation
internal import Kernels
internal import Recipes
internal import Tensors

/// Watches a run: times, losses, flipped indices, collapsed palettes.
struct RunMonitor {
  private let trainer: Trainer
  private(set) var seconds = 0.0
  private(set) var steps = 0
  private(set) var clusteringSeconds = 0.0
  private var losses: [Double] = []
  private var recent: [Double] = []
  private var indices: [String: [UInt8]] = [:]

  init(_ trainer: Trainer, from step: Int) { self.trainer = trainer }

  /// Steps between lines: about forty lines a run.
  private var interval: Int { max(1, trainer.recipe.training.steps / 40) }

  /// Takes note of a step.
  ///
  /// - Returns: a line for the log, now and then.
  mutating func record(
    _ report: Trainer.StepReport, _ state: RunState
  ) throws -> TrainingRun.Progress? {
    seconds += report.seconds
    steps += 1
    clusteringSeconds += report.clusteringSeconds
    losses.append(report.loss.loss)
    recent = (recent + [report.seconds]).suffix(20)
    let total = trainer.recipe.training.steps
    guard state.step % interval == 0 || state.step == total || steps == 1 else { return nil }
    let palettes = try palettes(state)
    let pace = recent.reduce(0, +) / Double(recent.count)
    let line = TrainingRun.Progress(
      step: state.step, steps: total, phase: report.phase.name,
      loss: losses.reduce(0, +) / Double(losses.count), hardLoss: try trainer.hardLoss(state),
      gradientNorm: report.loss.gradientNorm, flipRate: flipRate(palettes), secondsPerStep: pace,
      secondsLeft: pace * Double(total - state.step),
      collapsed: palettes.filter(\.collapsed).map(\.name))
    losses = []
    indices = Dictionary(uniqueKeysWithValues: palettes.map { ($0.name, $0.indices) })
    return line
  }

  private struct Palette: Sendable {
    let name: String
    let indices: [UInt8]
    let collapsed: Bool
  }

  private func palettes(_ state: RunState) throws -> [Palette] {
    let names = state.palettized
    let recipe = trainer.recipe
    return try Parallel.map(names.count) { index -> Result<Palette, any Error> in
      let name = names[index]
      return Result {
        guard let (shape, weights) = state.parameters[name],
          let centroids = state.centroids[name]
        else { preconditionFailure("palette of \(name), which has no weights") }
        if let frozen = state.frozen[name] {
          return Palette(name: name, indices: frozen.indices, collapsed: false)
        }
        let hard = try HardClustering(weights: weights, centroids: centroids)
        let statistics = PaletteStatistics(
          hard.histogram, centroids: centroids.map(Double.init),
          bits: recipe.clustering.bits(of: name, shape: shape.axes))
        return Palette(
          name: name, indices: hard.indices, collapsed: statistics.isCollapsed)
      }
    }.map { try $0.get() }
  }

  /// Of all palettized weights, since the last line.
  private func flipRate(_ palettes: [Palette]) -> Double {
    var flips = 0.0
    var count = 0
    for palette in palettes {
      guard let earlier = indices[palette.name] else { continue }
      count += earlier.count
      flips +=
        PalettizedTensor.flipRate(earlier, palette.indices) * Double(earlier.count)
    }
    return count == 0 ? 0 : flips / Double(count)
  }
}
