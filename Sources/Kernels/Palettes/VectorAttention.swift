internal import CKernels

/// Softmax attention of vectors over a few centroids, recomputed in every pass:
///
///     a_ij = softmax_j(-|x_i - c_j|² / τ)
///
/// Passes are cut into pieces of a fixed length whose sums are added in order, so that results do not depend on the
/// number of threads.
package struct VectorAttention: Sendable {
  /// Vectors one behind the other.
  private let x: Buffer
  /// The vectors that take part.
  private let range: Range<Int>
  private let dimension: Int
  /// `[centroids, dimension]`
  package var centroids: [Float]
  private let inverse: Float

  private static let piece = 8192

  package init(_ x: Buffer, range: Range<Int>, dimension: Int, centroids: [Float], temperature: Double) {
    precondition(
      (1...8).contains(dimension) && (1...256).contains(centroids.count / dimension)
        && range.lowerBound >= 0 && range.upperBound * dimension <= x.count,
      "VectorAttention: \(centroids.count) numbers for \(range) of \(x.count)")
    precondition(temperature > 0 && temperature.isFinite, "VectorAttention: temperature \(temperature)")
    self.x = x
    self.range = range
    self.dimension = dimension
    self.centroids = centroids
    inverse = Float(1 / temperature)
  }

  package struct Moments: Sendable {
    /// Σ_i a_ij
    package let sums: [Double]
    /// Σ_i a_ij (x_i - c_j), `[centroids, dimension]`
    package let moments: [Double]
  }

  package func moments() -> Moments {
    let parts = pieces { vectors, _ -> [[Double]] in
      var (sums, moments) = (zeros(centroids.count / dimension), zeros(centroids.count))
      sd_vectors_moments(vectors, &sums, &moments)
      return [sums, moments]
    }
    return Moments(sums: parts[0], moments: parts[1])
  }

  /// Writes Σ_j a_ij target_j at each vector's place.
  package func mix(_ targets: [Float], into y: Buffer) {
    precondition(targets.count == centroids.count && y.count == x.count, "VectorAttention: mix")
    _ = pieces { vectors, offset -> [[Double]] in
      sd_vectors_mix(vectors, targets, y.pointer + offset)
      return []
    }
  }

  /// Adds one iteration's pullback to `dx` at each vector's place, returns that to the centroids of this attention.
  ///
  ///     p_ij = slope_j · (x_i - target_j),   σ_ij = a_ij (p_ij - Σ_m a_im p_im),   q_ij = 2 (x_i - c_j) / τ
  ///     dx_i += Σ_j a_ij slope_j - Σ_j σ_ij q_ij,   result_j = Σ_i σ_ij q_ij
  package func pullbackIteration(targets: [Float], slopes: [Float], into dx: Buffer) -> [Double] {
    precondition(targets.count == centroids.count && slopes.count == centroids.count, "VectorAttention: pullback")
    return pieces { vectors, offset in
      var result = zeros(centroids.count)
      sd_vectors_pullback_iteration(vectors, targets, slopes, dx.pointer + offset, &result)
      return [result]
    }[0]
  }

  /// The pullback of ``mix(_:into:)``, p_ij = dy_i · target_j: what goes straight to the vectors is written to `dx`.
  ///
  /// - Parameter bound: on the length of what a vector gets, over that of its `dy`.
  /// - Returns: γ_j = Σ_i a_ij dy_i, to the centroids that were mixed, and γ'_j = Σ_i σ_ij q_ij, to those of this
  ///   attention; and how many vectors' parts were shortened.
  package func pullbackReadout(
    _ dy: Buffer, targets: [Float], bound: Double, into dx: Buffer
  ) -> (targets: [Double], centroids: [Double], shortened: Int) {
    precondition(targets.count == centroids.count && dy.count == x.count, "VectorAttention: pullback")
    let parts = pieces { vectors, offset in
      var (mixed, attended) = (zeros(centroids.count), zeros(centroids.count))
      let shortened = sd_vectors_pullback_readout(
        vectors, targets, dy.pointer + offset, Float(bound), dx.pointer + offset, &mixed, &attended)
      return [mixed, attended, [Double(shortened)]]
    }
    return (parts[0], parts[1], Int(parts[2][0]))
  }

  private func zeros(_ count: Int) -> [Double] { [Double](repeating: 0, count: count) }

  /// The sums over all pieces of what `body` returns for one, given its vectors and the place of the first number.
  private func pieces(_ body: @Sendable (sd_vectors, Int) -> [[Double]]) -> [[Double]] {
    let ranges = range.cut(length: Self.piece)
    let parts = Parallel.map(ranges.count) { piece in
      let offset = ranges[piece].lowerBound * dimension
      return centroids.withUnsafeBufferPointer { centroids in
        body(
          sd_vectors(
            x: x.pointer + offset, centroids: centroids.baseAddress,
            count: ranges[piece].count, k: Int32(centroids.count / dimension),
            dimension: Int32(dimension), inverse: inverse), offset)
      }
    }
    guard var total = parts.first else { return [] }
    for part in parts.dropFirst() {
      for (row, numbers) in part.enumerated() {
        for (at, number) in numbers.enumerated() { total[row][at] += number }
      }
    }
    return total
  }
}
