internal import Clustering
package import Kernels
package import Tensors

/// Everything that training carries from one step to the next; its checkpoint continues to the same bits.
///
/// A rank's holds what it keeps of its own weights (``TrainedWeights``); alone, that is all.
///
/// Random numbers are a function of seed and step, and temperature and learning rate of the step, so none of them is
/// state.
package struct RunState: Sendable {
  /// Steps done.
  package var step: Int
  /// Latent weights in 32 bits. The optimizer updates them in place, between steps.
  package let parameters: NamedArrays
  /// Moments of the weights, and under ``tableKey(_:)`` and ``scaleKey(_:)`` of trained entries and factors.
  package var moments: [String: AdamW.Moments]
  /// Palette entries of each palettized weight. `[groups, entries, vector]`
  package var centroids: [String: [Float]]
  /// Factors of the channels of the weights that have them. The optimizer updates them in place.
  package let scales: [String: Buffer]
  /// Once indices are frozen: the trained entries and every weight's index.
  package var frozen: [String: FrozenPalette]
  package var losses: [StepLoss]
  /// What the recipe's learning rates are multiplied with: halved whenever the run went back (`training.onNaN`).
  package var rateScale = 1.0
  /// Where samplers are (``Trajectories``), by number; none before the first step.
  var samplers: [Int: Tensor] = [:]

  package init(
    step: Int, parameters: NamedArrays,
    moments: [String: AdamW.Moments], centroids: [String: [Float]], scales: [String: Buffer],
    frozen: [String: FrozenPalette], losses: [StepLoss]
  ) {
    self.step = step
    self.parameters = parameters
    self.moments = moments
    self.centroids = centroids
    self.scales = scales
    self.frozen = frozen
    self.losses = losses
  }

  package struct FrozenPalette: Sendable {
    /// `[groups, entries, vector]`
    package let table: Buffer
    /// In the order of the palette's arrangement.
    package let indices: [UInt8]

    package init(table: Buffer, indices: [UInt8]) {
      self.table = table
      self.indices = indices
    }
  }

  /// What one step measured.
  package struct StepLoss: Sendable, Equatable {
    /// The loss that the step descended.
    package let loss: Double
    /// Global L2 norm of the gradient before clipping.
    package let gradientNorm: Double
  }

  /// The key under which moments of a weight's palette entries are kept.
  package static func tableKey(_ weight: String) -> String { "table:\(weight)" }

  /// The key under which moments of a weight's channel factors are kept.
  package static func scaleKey(_ weight: String) -> String { "scale:\(weight)" }

  /// The names of the palettized weights, largest first: the order in which threads take them.
  var palettized: [String] {
    centroids.keys.sorted { a, b in
      let (x, y) = (parameters[a]?.shape.count ?? 0, parameters[b]?.shape.count ?? 0)
      return x == y ? a < b : x > y
    }
  }
}
