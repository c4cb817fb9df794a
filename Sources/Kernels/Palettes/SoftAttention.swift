internal import CKernels

/// Softmax attention of ascending values over ascending centroids, recomputed in every pass:
///
///     a_uj = softmax_j(-d(u, c_j) / τ)
///
/// Rows are values, columns are centroids; all sums are double precision.
package struct SoftAttention: Sendable {
  package enum Distance: Sendable, Equatable {
    /// d = (u - c)²
    case squared
    /// d = |u - c|
    case absolute
  }

  /// What coremltools' implementation does besides the paper's formula.
  package struct Variant: Sendable, Equatable {
    /// Attention is no smaller than this.
    package var floor: Double
    /// Taken off the distance to one centroid.
    package var offset: Double
    package var offsetColumn: Int

    package init(floor: Double, offset: Double, offsetColumn: Int) {
      self.floor = floor
      self.offset = offset
      self.offsetColumn = offsetColumn
    }
  }

  /// Arithmetic within a block of values.
  package enum Precision: Sendable, Equatable { case single, double }

  package var values: [Double]
  package var centroids: [Double]
  package var temperature: Double
  package var distance: Distance
  package var precision: Precision
  /// Logits this far below a value's best one are left out; infinity keeps all.
  package var cutoff: Double
  package var variant: Variant?

  package init(
    values: [Double], centroids: [Double], temperature: Double, distance: Distance = .squared,
    precision: Precision = .single, cutoff: Double? = nil, variant: Variant? = nil
  ) {
    precondition(!values.isEmpty && !centroids.isEmpty, "SoftAttention: nothing to attend")
    precondition(
      temperature > 0 && temperature.isFinite, "SoftAttention: temperature \(temperature)")
    self.values = values
    self.centroids = centroids
    self.temperature = temperature
    self.distance = distance
    self.precision = precision
    // exp(-18) and exp(-40) are below the rounding of a float and a double sum.
    self.cutoff = variant != nil ? .infinity : cutoff ?? (precision == .single ? 18 : 40)
    self.variant = variant
  }

  package struct Moments: Sendable {
    /// Σ_u n_u a_uj
    package var sums: [Double]
    /// Σ_u n_u a_uj (u - c_j)
    package var moments: [Double]
    /// Σ_u n_u min_j d(u, c_j)
    package var inertia: Double
  }

  package func moments(masses: [Double]) -> Moments {
    checkRows(masses, "moments")
    var result = Moments(sums: columns, moments: columns, inertia: 0)
    withKernel { kernel, scratch in
      sd_attention_moments(
        kernel, masses, &result.sums, &result.moments, &result.inertia, scratch)
    }
    return result
  }

  /// Σ_j a_uj targets_j for every value.
  package func mix(_ targets: [Double]) -> [Double] {
    checkColumns(targets, "mix")
    var table = rows
    withKernel { kernel, scratch in sd_attention_mix(kernel, targets, &table, scratch) }
    return table
  }

  /// Adds to `shared` one iteration's pullback to the values, returns that to the centroids of this
  /// attention.
  ///
  ///     p_uj = slopes_j (u - targets_j),   σ_uj = a_uj (p_uj - Σ_m a_um p_um),   q_uj = d'(u - c_j) / τ
  ///     shared_u += Σ_j a_uj slopes_j - Σ_j σ_uj q_uj,   result_j = Σ_u n_u σ_uj q_uj
  package func pullbackIteration(
    masses: [Double], targets: [Double], slopes: [Double], shared: inout [Double]
  ) -> [Double] {
    checkRows(masses, "pullbackIteration")
    checkRows(shared, "pullbackIteration")
    checkColumns(targets, "pullbackIteration")
    checkColumns(slopes, "pullbackIteration")
    var result = columns
    withKernel { kernel, scratch in
      sd_attention_pullback_iteration(
        kernel, masses, targets, slopes, &shared, &result, scratch)
    }
    return result
  }

  package struct ReadoutPullback: Sendable {
    /// h_u = -Σ_j σ_uj q_uj
    package var gain: [Double]
    /// γ_j = Σ_u G_u a_uj, to the centroids that were mixed
    package var targets: [Double]
    /// γ'_j = Σ_u G_u σ_uj q_uj, to the centroids of this attention
    package var centroids: [Double]
  }

  /// The pullback of `mix(targets)`, `gradients` being G_u summed over the weights of each value;
  /// p_uj = targets_j.
  package func pullbackReadout(gradients: [Double], targets: [Double]) -> ReadoutPullback {
    checkRows(gradients, "pullbackReadout")
    checkColumns(targets, "pullbackReadout")
    var result = ReadoutPullback(gain: rows, targets: columns, centroids: columns)
    withKernel { kernel, scratch in
      sd_attention_pullback_readout(
        kernel, gradients, targets, &result.gain, &result.targets, &result.centroids, scratch)
    }
    return result
  }

  /// K_jm = Σ_u n_u (u - c_j) a_uj (δ_jm - a_um) q_um, row-major `[k, k]`; symmetric for squared
  /// distances.
  package func coupling(masses: [Double]) -> [Double] {
    checkRows(masses, "coupling")
    precondition(variant == nil, "coupling: not for coremltools' variant")
    var result = [Double](repeating: 0, count: centroids.count * centroids.count)
    withKernel { kernel, scratch in sd_attention_coupling(kernel, masses, &result, scratch) }
    return result
  }

  private var rows: [Double] { [Double](repeating: 0, count: values.count) }
  private var columns: [Double] { [Double](repeating: 0, count: centroids.count) }

  private func checkRows(_ x: [Double], _ name: StaticString) {
    precondition(x.count == values.count, "\(name): \(x.count) for \(values.count) values")
  }

  private func checkColumns(_ x: [Double], _ name: StaticString) {
    precondition(
      x.count == centroids.count, "\(name): \(x.count) for \(centroids.count) centroids")
  }

  private func withKernel(_ body: (sd_attention, UnsafeMutablePointer<Double>) -> Void) {
    let scratch = Buffer(uninitialized: 2 * sd_attention_scratch(centroids.count))
    values.withUnsafeBufferPointer { values in
      centroids.withUnsafeBufferPointer { centroids in
        let kernel = sd_attention(
          values: values.baseAddress, centroids: centroids.baseAddress, count: values.count,
          k: centroids.count, temperature: temperature, absolute: distance == .absolute ? 1 : 0,
          single_precision: precision == .single ? 1 : 0, cutoff: cutoff,
          floor: variant?.floor ?? 0, offset: variant?.offset ?? 0,
          offset_column: variant?.offsetColumn ?? 0)
        scratch.pointer.withMemoryRebound(to: Double.self, capacity: scratch.count / 2) {
          body(kernel, $0)
        }
      }
    }
  }
}
