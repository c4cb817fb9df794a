internal import CKernels

/// Sums of outer products of rows, and of the patches that a convolution reads.
package enum OuterProducts {
  /// Rows of the result that are one product.
  private static let block = 256
  /// Patches unfolded at a time.
  private static let tile = 1024

  /// Adds Σ x xᵀ over rows of a matrix to the upper triangle of `sum`, by blocks of rows.
  ///
  /// - Parameters:
  ///   - x: `[rows, width]`
  ///   - sum: `[width, width]`
  package static func accumulate(_ x: Buffer, rows: Int, width: Int, into sum: Buffer) {
    precondition(
      rows * width <= x.count && sum.count == width * width, "outer products of \(x.count) into \(sum.count)")
    let blocks = (0..<width).cut(length: block)
    // The first rows of a triangle are the longest.
    Parallel.forEach(blocks.count) { index in
      let part = blocks[index]
      MatrixProduct.multiplyInline(
        Matrix(x, offset: part.lowerBound, stride: width, transposed: true),
        Matrix(x, offset: part.lowerBound, stride: width),
        into: Matrix(sum, offset: part.lowerBound * (width + 1), stride: width), m: part.count,
        n: width - part.lowerBound, k: rows, beta: 1)
    }
  }

  /// Adds Σ p pᵀ over all patches p of a convolution's input, `[inputs, kernelHeight, kernelWidth]` as weights are stored,
  /// to the upper triangle of `sum`, by blocks of rows.
  package static func accumulatePatches(_ x: Buffer, of g: ConvolutionGeometry, into sum: Buffer) {
    guard !g.isPointwise else { return accumulate(x, rows: g.rows, width: g.patch, into: sum) }
    let patches = Buffer(uninitialized: min(tile, g.rows) * g.patch)
    for rows in (0..<g.rows).cut(length: tile) {
      Parallel.ranges(rows.count, grain: 64) { part in
        sd_unfold_channels(
          x.pointer, patches.pointer + part.lowerBound * g.patch, rows.lowerBound + part.lowerBound, part.count, g.shape)
      }
      accumulate(patches, rows: rows.count, width: g.patch, into: sum)
    }
  }

  /// Copies the upper triangle to the lower one and divides both by a number.
  package static func finish(_ sum: Buffer, width: Int, dividingBy count: Double) {
    let factor = Float(1 / count)
    Parallel.ranges(width, grain: 64) { rows in
      // Of the lower triangle; the upper one is still whole.
      for row in rows {
        for column in 0..<row { sum.pointer[row * width + column] = sum.pointer[column * width + row] * factor }
      }
    }
    Parallel.ranges(width, grain: 64) { rows in
      for row in rows { for column in row..<width { sum.pointer[row * width + column] *= factor } }
    }
  }
}
