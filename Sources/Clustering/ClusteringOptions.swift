package import Kernels

/// How one tensor's weights are softly clustered.
package struct ClusteringOptions: Sendable, Equatable {
  package enum Readout: Sendable, Equatable {
    /// Attention of the centroids before the last update over the centroids after it (coremltools).
    case previous
    /// Attention of the final centroids over themselves.
    case fresh
  }

  package enum Gradient: Sendable, Equatable {
    /// Through all iterations, exactly.
    case unrolled
    /// The forward runs to the fixed point and the gradient is that of the fixed point; where it is
    /// not a stable one, iterations are unrolled instead.
    case implicit
    /// As implicit, with the inverse replaced by the identity (IDKM's JFB).
    case jacobianFree
    /// The upstream gradient as it is.
    case straightThrough
  }

  package static let supportedBits = [1, 2, 3, 4, 6, 8]

  package var bits: Int
  /// τ, an absolute squared distance (or distance) in units of the weights; see ``Temperature``.
  package var temperature: Double
  package var iterations: Int
  package var distance: SoftAttention.Distance
  package var readout: Readout
  package var gradient: Gradient
  /// Bound on |h_u|, the factor on a weight's own gradient, which peaks at cell borders like
  /// gap²/(2τ).
  package var maximumGain: Double?
  package var precision: SoftAttention.Precision
  /// Logits this far below the best one are left out; `nil` chooses by precision, infinity keeps
  /// all.
  package var cutoff: Double?
  package var variant: SoftAttention.Variant?
  /// Stops iterating once Σ_u n_u min_j d(u, c_j) changes by no more than this; absolute, as
  /// coremltools has it.
  package var inertiaTolerance: Double?

  package init(
    bits: Int, temperature: Double, iterations: Int = 3,
    distance: SoftAttention.Distance = .squared, readout: Readout = .fresh,
    gradient: Gradient = .unrolled, maximumGain: Double? = nil,
    precision: SoftAttention.Precision = .single, cutoff: Double? = nil,
    variant: SoftAttention.Variant? = nil, inertiaTolerance: Double? = nil
  ) {
    self.bits = bits
    self.temperature = temperature
    self.iterations = iterations
    self.distance = distance
    self.readout = readout
    self.gradient = gradient
    self.maximumGain = maximumGain
    self.precision = precision
    self.cutoff = cutoff
    self.variant = variant
    self.inertiaTolerance = inertiaTolerance
  }

  /// coremltools 9's DKM with its defaults.
  package static func coremltools(bits: Int, temperature: Double = 1e-4) -> ClusteringOptions {
    ClusteringOptions(
      bits: bits, temperature: temperature, readout: .previous,
      variant: .init(floor: 1e-7, offset: 1e-7, offsetColumn: 0), inertiaTolerance: 1e-4)
  }

  func validate(centroids: [Double]) throws(ClusteringError) {
    guard Self.supportedBits.contains(bits) else { throw .unsupportedBits(bits) }
    guard temperature > 0, temperature.isFinite else { throw .temperature(temperature) }
    guard (1...1 << bits).contains(centroids.count) else {
      throw .centroidCount(found: centroids.count, allowed: 1...1 << bits)
    }
    if let bad = centroids.firstIndex(where: { !$0.isFinite }) {
      throw .nonFiniteCentroid(index: bad)
    }
    precondition(
      iterations >= (readout == .previous ? 1 : 0), "ClusteringOptions: \(iterations) iterations")
  }
}
