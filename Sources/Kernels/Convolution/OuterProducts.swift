internal import CKernels

/// Sums of outer products of rows, and of the patches that a convolution reads.
package enum OuterProducts {
  /// Rows of the result that are one product.
  private static let block = 256
  /// Patches unfolded at a time.
  private static let tile = 1024

  /// Adds Σ x xᵀ over the rows of some lines to the upper triangle of `sum`, by blocks of rows.
  ///
  /// - Parameters:
  ///   - x: `[lines, length, width]`
  ///   - lines: which of them count.
  ///   - sum: `[width, width]`
  package static func accumulate(_ x: Buffer, lines: [Int], length: Int, width: Int, into sum: Buffer) {
    accumulate(lines, length: length, width: width, into: sum) { line, y, at in
      y.copy(from: x, line * length * width..<(line + 1) * length * width, at: at)
    }
  }

  /// Adds Σ p pᵀ over the patches p of some lines of a convolution's output, `[inputs, kernelHeight, kernelWidth]` as
  /// weights are stored, to the upper triangle of `sum`, by blocks of rows.
  package static func accumulatePatches(
    _ x: Buffer, of g: ConvolutionGeometry, lines: [Int], into sum: Buffer
  ) {
    guard !g.isPointwise else {
      return accumulate(x, lines: lines, length: g.outputWidth, width: g.patch, into: sum)
    }
    accumulate(lines, length: g.outputWidth, width: g.patch, into: sum) { line, y, at in
      sd_unfold_channels(x.pointer, y.pointer + at, line * g.outputWidth, g.outputWidth, g.shape)
    }
  }

  /// - Parameter write: writes a line's rows into a buffer, from a place on.
  private static func accumulate(
    _ lines: [Int], length: Int, width: Int, into sum: Buffer, _ write: @Sendable (Int, Buffer, Int) -> Void
  ) {
    precondition(sum.count == width * width, "outer products of rows of \(width) into \(sum.count)")
    let together = max(1, tile / length)
    let rows = Buffer(uninitialized: min(together, lines.count) * length * width)
    let blocks = (0..<width).cut(length: block)
    for some in lines.indices.cut(length: together) {
      Parallel.forEach(some.count) { write(lines[some.lowerBound + $0], rows, $0 * length * width) }
      // The first blocks of a triangle are the longest.
      Parallel.forEach(blocks.count) { index in
        let part = blocks[index]
        MatrixProduct.multiplyInline(
          Matrix(rows, offset: part.lowerBound, stride: width, transposed: true),
          Matrix(rows, offset: part.lowerBound, stride: width),
          into: Matrix(sum, offset: part.lowerBound * (width + 1), stride: width), m: part.count,
          n: width - part.lowerBound, k: some.count * length, beta: 1)
      }
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
