internal import Clustering
package import Kernels
package import Tensors

/// Everything that training carries from one step to the next; its checkpoint continues to the same bits.
///
/// Random numbers are a function of seed and step, and temperature and learning rate of the step, so none of them is
/// state.
package struct RunState: Sendable {
  /// Steps done.
  package var step: Int
  /// Latent weights in 32 bits. The optimizer updates them in place, between steps.
  package let parameters: [String: (shape: Shape, buffer: Buffer)]
  /// Moments of the weights, and under ``tableKey(_:)`` of trained palette entries.
  package var moments: [String: AdamW.Moments]
  /// Palette entries of each palettized weight, ascending.
  package var centroids: [String: [Float]]
  /// Once indices are frozen: the trained entries and every weight's index.
  package var frozen: [String: FrozenPalette]
  package var losses: [StepLoss]

  package init(
    step: Int, parameters: [String: (shape: Shape, buffer: Buffer)],
    moments: [String: AdamW.Moments], centroids: [String: [Float]],
    frozen: [String: FrozenPalette], losses: [StepLoss]
  ) {
    self.step = step
    self.parameters = parameters
    self.moments = moments
    self.centroids = centroids
    self.frozen = frozen
    self.losses = losses
  }

  package struct FrozenPalette: Sendable {
    package let table: Buffer
    package let indices: [UInt8]
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

  /// The names of the palettized weights, largest first: the order in which threads take them.
  var palettized: [String] {
    centroids.keys.sorted { a, b in
      let (x, y) = (parameters[a]?.shape.count ?? 0, parameters[b]?.shape.count ?? 0)
      return x == y ? a < b : x > y
    }
  }
}
