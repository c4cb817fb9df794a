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
  ///   - every: which rows count: every so many, from the first on.
  ///   - sum: `[width, width]`
  /// - Returns: how many rows counted.
  @discardableResult package static func accumulate(
    _ x: Buffer, rows: Int, width: Int, every: Int = 1, into sum: Buffer
  ) -> Int {
    precondition(
      rows * width <= x.count && sum.count == width * width && every > 0,
      "outer products of \(x.count) into \(sum.count)")
    let counted = (rows + every - 1) / every
    let blocks = (0..<width).cut(length: block)
    // The first rows of a triangle are the longest.
    Parallel.forEach(blocks.count) { index in
      let part = blocks[index]
      MatrixProduct.multiplyInline(
        Matrix(x, offset: part.lowerBound, stride: every * width, transposed: true),
        Matrix(x, offset: part.lowerBound, stride: every * width),
        into: Matrix(sum, offset: part.lowerBound * (width + 1), stride: width), m: part.count,
        n: width - part.lowerBound, k: counted, beta: 1)
    }
    return counted
  }

  /// Adds Σ p pᵀ over all patches p of a convolution's input, `[inputs, kernelHeight, kernelWidth]` as weights are stored,
  /// to the upper triangle of `sum`, by blocks of rows.
  ///
  /// - Parameter every: which patches count: those of every so many lines of the output, or for kernels of one pixel every
  ///   so many of all.
  /// - Returns: how many patches counted.
  package static func accumulatePatches(
    _ x: Buffer, of g: ConvolutionGeometry, every: Int = 1, into sum: Buffer
  ) -> Int {
    guard !g.isPointwise else { return accumulate(x, rows: g.rows, width: g.patch, every: every, into: sum) }
    let lines = Array(stride(from: 0, to: g.rows / g.outputWidth, by: every))
    let together = max(1, tile / g.outputWidth)
    let patches = Buffer(uninitialized: min(together, lines.count) * g.outputWidth * g.patch)
    for some in lines.indices.cut(length: together) {
      Parallel.forEach(some.count) { index in
        sd_unfold_channels(
          x.pointer, patches.pointer + index * g.outputWidth * g.patch, lines[some.lowerBound + index] * g.outputWidth,
          g.outputWidth, g.shape)
      }
      accumulate(patches, rows: some.count * g.outputWidth, width: g.patch, into: sum)
    }
    return lines.count * g.outputWidth
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
