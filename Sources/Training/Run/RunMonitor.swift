internal import Clustering
internal import Distribution
internal import Foundation
internal import Kernels
internal import Recipes
internal import Tensors

/// Watches a run: times, losses, flipped indices, collapsed palettes; of all ranks' weights, on every rank.
struct RunMonitor {
  private let trainer: Trainer
  private(set) var totals: RunLog.Totals
  private var losses: [Double] = []
  private var recent: [(seconds: Double, clustering: Double)] = []
  private var indices: [String: PackedIndices] = [:]

  /// - Parameter earlier: of the steps before the first that will be recorded.
  init(_ trainer: Trainer, _ earlier: RunLog.Totals) {
    self.trainer = trainer
    totals = earlier
  }

  /// Steps between lines: about forty lines a run.
  private var interval: Int { max(1, trainer.recipe.training.steps / 40) }

  /// Takes note of a step.
  ///
  /// - Returns: a line for the log, now and then.
  mutating func record(
    _ report: Trainer.StepReport, _ state: RunState
  ) throws -> TrainingRun.Progress? {
    totals.seconds += report.seconds
    totals.steps += 1
    totals.clusteringSeconds += report.clusteringSeconds
    losses.append(report.loss.loss)
    recent = (recent + [(report.seconds, report.clusteringSeconds)]).suffix(20)
    let total = trainer.recipe.training.steps
    guard state.step % interval == 0 || state.step == total || recent.count == 1 else { return nil }
    let hard = try trainer.hardPalettes(of: state)
    let palettes = palettes(state.palettized, hard)
    let spent = recent.reduce(0) { $0 + $1.seconds }
    let pace = spent / Double(recent.count)
    let names = trainer.weights.palettized
    // Every rank tells of its own palettes, and zeros of all others.
    let own = Dictionary(uniqueKeysWithValues: palettes.map { ($0.name, $0) })
    let collapsed = try trainer.ranks.sum(names.map { own[$0]?.collapsed == true ? 1 : 0 })
    let signalToNoise = try trainer.ranks.sum(names.map { own[$0]?.signalToNoise ?? 0 })
    let line = TrainingRun.Progress(
      step: state.step, steps: total, phase: report.phase.name,
      loss: losses.reduce(0, +) / Double(losses.count), hardLoss: try trainer.loss(state, hard),
      gradientNorm: report.loss.gradientNorm, clippedShare: report.clippedShare,
      flipRate: try flipRate(palettes), seconds: totals.seconds, clusteringSeconds: totals.clusteringSeconds,
      secondsPerStep: pace, clusteringShare: recent.reduce(0) { $0 + $1.clustering } / spent,
      secondsLeft: pace * Double(total - state.step),
      collapsed: zip(names, collapsed).filter { $0.1 > 0 }.map(\.0),
      signalToNoise: Dictionary(
        uniqueKeysWithValues: zip(names, signalToNoise.map { ($0 * 100).rounded() / 100 })))
    losses = []
    indices = Dictionary(uniqueKeysWithValues: palettes.map { ($0.name, $0.indices) })
    return line
  }

  private struct Palette: Sendable {
    let name: String
    let indices: PackedIndices
    /// Of them those that are others than at the last line; nil at the first.
    let flips: Double?
    let collapsed: Bool
    let signalToNoise: Double
  }

  private func palettes(_ names: [String], _ palettes: [String: StepPalette]) -> [Palette] {
    Parallel.map(names.count) { index in
      guard let palette = palettes[names[index]], let indices = palette.indices else {
        preconditionFailure("palette of \(names[index]), which has none")
      }
      defer { palette.weights.letGo() }
      let flips = self.indices[names[index]].map {
        PalettizedTensor.flipRate($0.unpacked(), indices) * Double(indices.count)
      }
      return Palette(
        name: names[index], indices: PackedIndices(indices, bits: palette.elements.form.bits), flips: flips,
        collapsed: palette.isCollapsed, signalToNoise: palette.signalToNoise)
    }
  }

  /// Of all palettized weights, since the last line.
  private func flipRate(_ palettes: [Palette]) throws -> Double {
    var flips = 0.0
    var count = 0.0
    for palette in palettes {
      guard let own = palette.flips else { continue }
      flips += own
      count += Double(palette.indices.count)
    }
    let sums = try trainer.ranks.sum([flips, count])
    return sums[1] == 0 ? 0 : sums[0] / sums[1]
  }
}
