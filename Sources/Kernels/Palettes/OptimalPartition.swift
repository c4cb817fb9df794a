internal import CKernels

/// Exact one-dimensional k-means: by dynamic programming, or for many cells by a penalty on each (Grønlund et al. 2017,
/// "Fast Exact k-Means, k-Medians and Bregman Divergence Clustering in 1D").
package enum OptimalPartition {
  /// Where to cut ascending values into `cells` so that the summed squared error is least: the
  /// first index of each.
  ///
  /// - Precondition: masses are positive, `1 ≤ cells ≤ values.count ≤ 65,536`.
  /// - Complexity: O(`cells` · count · log count) evaluations of a cell's error, from 8 cells on O(count · log count) a
  ///   dozen times.
  package static func starts(values: [Double], masses: [Double], cells: Int) -> [Int] {
    let count = values.count
    precondition(
      masses.count == count && count <= 65_536 && (1...max(1, count)).contains(cells) && count > 0,
      "OptimalPartition: \(cells) cells of \(count) values, \(masses.count) masses")
    let scratch = UnsafeMutablePointer<Double>.allocate(capacity: 8 * (count + 1))
    let cuts = UnsafeMutablePointer<UInt16>.allocate(capacity: cells * (count + 1))
    defer {
      scratch.deallocate()
      cuts.deallocate()
    }
    var starts = [Int](repeating: 0, count: cells)
    starts.withUnsafeMutableBytes { bytes in
      sd_optimal_partition(
        values, masses, count, cells, bytes.bindMemory(to: Int.self).baseAddress, scratch, cuts)
    }
    return starts
  }
}
