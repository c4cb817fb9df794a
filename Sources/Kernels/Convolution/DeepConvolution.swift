internal import CKernels

/// Convolution of few positions with large weights, as in the innermost blocks of a UNet: patches take the order of the
/// stored weight, `[inputs, taps]`, so that the weight, which is much larger than they are, need not be turned around.
/// Kernels of one pixel, linear layers that is, have the image itself for patches.
///
/// Threads share out the weight: each reads, or makes, only its own part.
struct DeepConvolution: Sendable {
  private let g: ConvolutionGeometry

  /// Output positions up to which patches are the smaller part.
  private static let rowLimit = 256
  /// Products that are added up at a time: what a product of matrices takes for one pass over its sums.
  private static let depth = 512

  init?(_ g: ConvolutionGeometry) {
    guard g.rows <= Self.rowLimit, g.outputs >= 64 else { return nil }
    self.g = g
  }

  private func patches(_ x: Buffer) -> Buffer {
    if g.isPointwise { return x }
    let patches = Buffer(uninitialized: g.rows * g.patch)
    Parallel.ranges(g.rows, grain: max(1, 65_536 / g.patch)) { rows in
      sd_unfold_channels(x.pointer, patches.pointer + rows.lowerBound * g.patch, rows.lowerBound, rows.count, g.shape)
    }
    return patches
  }

  /// Every thread takes some outputs.
  func forward(_ x: Buffer, weight: WeightElements, into y: Buffer) {
    let patches = patches(x)
    Parallel.ranges(g.outputs, grain: max(1, 1_000_000 / (g.rows * g.patch)), multiple: 16) { outputs in
      for outputs in weight.pieces(outputs, of: Self.depth) {
        for columns in weight.pieces(0..<g.patch, of: outputs.count) {
          MatrixProduct.multiplyInline(
            Matrix(patches, offset: columns.lowerBound, stride: g.patch),
            weight.matrix(rows: outputs, columns: columns, width: g.patch, transposed: true),
            into: Matrix(y, offset: outputs.lowerBound, stride: g.outputs), m: g.rows, n: outputs.count,
            k: columns.count, beta: columns.lowerBound == 0 ? 0 : 1)
        }
      }
    }
  }

  /// Every thread takes some columns of the patches at a time: products of so few rows are mostly their results.
  func weightGradient(_ x: Buffer, dy: Buffer, into dw: Buffer) {
    let patches = patches(x)
    if !g.isPointwise, g.patch % Panels.width == 0 {
      let pieces = (0..<g.patch).cut(length: 8 * Panels.width * 3)
      return Parallel.forEach(pieces.count) { piece in
        let columns = pieces[piece]
        Panels(patches, offset: columns.lowerBound, stride: g.patch, rows: g.rows, columns: columns.count)
          .multiplyInline(transposed: dy, m: g.outputs, into: dw, offset: columns.lowerBound, stride: g.patch)
      }
    }
    MatrixProduct.multiply(
      Matrix(dy, stride: g.outputs, transposed: true), Matrix(patches, stride: g.patch),
      into: Matrix(dw, stride: g.patch), m: g.outputs, n: g.patch, k: g.rows)
  }

  /// Every thread takes some input channels: their columns of the weight, and their places in the image.
  func inputGradient(_ dy: Buffer, weight: WeightElements, into dx: Buffer) {
    Parallel.ranges(g.inputs, grain: max(1, 1_000_000 / (g.rows * g.outputs * g.taps)), multiple: 16) { inputs in
      for inputs in weight.pieces(inputs, of: Self.depth * g.taps) {
        let columns = inputs.lowerBound * g.taps..<inputs.upperBound * g.taps
        let patches =
          g.isPointwise
          ? Matrix(dx, offset: inputs.lowerBound, stride: g.inputs)
          : Matrix(Buffer(uninitialized: g.rows * columns.count), stride: columns.count)
        for outputs in weight.pieces(0..<g.outputs, of: columns.count) {
          MatrixProduct.multiplyInline(
            Matrix(dy, offset: outputs.lowerBound, stride: g.outputs),
            weight.matrix(rows: outputs, columns: columns, width: g.patch), into: patches, m: g.rows,
            n: columns.count, k: outputs.count, beta: outputs.lowerBound == 0 ? 0 : 1)
        }
        guard !g.isPointwise else { continue }
        sd_fold_channels(patches.buffer.pointer, dx.pointer, g.rows, inputs.lowerBound, inputs.upperBound, g.shape)
      }
    }
  }
}
