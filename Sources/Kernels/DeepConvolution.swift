internal import CKernels

/// Convolution of few positions with large weights, as in the innermost blocks of a UNet: patches take the order of the
/// stored weight, `[inputs, taps]`, so that the weight, which is much larger than they are, need not be turned around.
struct DeepConvolution: Sendable {
  private let g: ConvolutionGeometry

  /// Output positions up to which patches are the smaller part.
  private static let rowLimit = 256

  init?(_ g: ConvolutionGeometry) {
    guard !g.isPointwise, g.rows <= Self.rowLimit, g.outputs >= 64 else { return nil }
    self.g = g
  }

  private func patches(_ x: Buffer) -> Buffer {
    let patches = Buffer(uninitialized: g.rows * g.patch)
    Parallel.ranges(g.rows, grain: max(1, 65_536 / g.patch)) { rows in
      sd_unfold_channels(x.pointer, patches.pointer + rows.lowerBound * g.patch, rows.lowerBound, rows.count, g.shape)
    }
    return patches
  }

  func forward(_ x: Buffer, weight: Buffer, into y: Buffer) {
    let patches = patches(x)
    Parallel.ranges(g.outputs, grain: max(1, 1_000_000 / (g.rows * g.patch)), multiple: 16) { outputs in
      MatrixProduct.multiplyInline(
        Matrix(patches, stride: g.patch),
        Matrix(weight, offset: outputs.lowerBound * g.patch, stride: g.patch, transposed: true),
        into: Matrix(y, offset: outputs.lowerBound, stride: g.outputs), m: g.rows, n: outputs.count, k: g.patch)
    }
  }

  func weightGradient(_ x: Buffer, dy: Buffer, into dw: Buffer) {
    let patches = patches(x)
    MatrixProduct.multiply(
      Matrix(dy, stride: g.outputs, transposed: true), Matrix(patches, stride: g.patch),
      into: Matrix(dw, stride: g.patch), m: g.outputs, n: g.patch, k: g.rows)
  }

  /// Every thread takes some input channels: their columns of the weight, and their places in the image.
  func inputGradient(_ dy: Buffer, weight: Buffer, into dx: Buffer) {
    Parallel.ranges(g.inputs, grain: max(1, 1_000_000 / (g.rows * g.outputs * g.taps)), multiple: 16) { inputs in
      let columns = inputs.count * g.taps
      let patches = Buffer(uninitialized: g.rows * columns)
      MatrixProduct.multiplyInline(
        Matrix(dy, stride: g.outputs), Matrix(weight, offset: inputs.lowerBound * g.taps, stride: g.patch),
        into: Matrix(patches, stride: columns), m: g.rows, n: columns, k: g.outputs)
      sd_fold_channels(patches.pointer, dx.pointer, g.rows, inputs.lowerBound, inputs.upperBound, g.shape)
    }
  }
}
