internal import CKernels
internal import Foundation

/// 2-D convolution by whichever way is fastest for its geometry (`docs/performance.md`):
///
/// - 3×3 kernels on images that are not tiny by ``Winograd``;
/// - few output positions by ``DeepConvolution``, which leaves the weight in its order;
/// - kernels of one pixel are matrix products as they stand;
/// - all others by unfolding tiles of output rows and one matrix product each.
package enum Convolution {
  /// Rows unfolded at a time: the tile stays in the last-level cache while OpenBLAS reuses its packed weights.
  private static let tileRows = 512

  /// `y = x * weight + bias`.
  ///
  /// - Complexity: 2 · rows · outputs · inputs · taps FLOPs.
  package static func forward(
    _ x: Buffer, weight: WeightElements, bias: Buffer?, into y: Buffer, _ g: ConvolutionGeometry
  ) {
    check(x, weight.count, y, g)
    if let winograd = Winograd(g) {
      return winograd.forward(
        x, kernels: { outputs, inputs, kernels in weight.copy(kernels: outputs, inputs, of: g.inputs, into: kernels) },
        bias: bias, into: y)
    }
    if let deep = DeepConvolution(g) {
      deep.forward(x, weight: weight, into: y)
    } else if g.isPointwise {
      for outputs in weight.pieces(0..<g.outputs, of: g.inputs) {
        MatrixProduct.multiply(
          Matrix(x, stride: g.inputs),
          weight.matrix(rows: outputs, columns: 0..<g.inputs, width: g.inputs, transposed: true),
          into: Matrix(y, offset: outputs.lowerBound, stride: g.outputs), m: g.rows, n: outputs.count, k: g.inputs)
      }
    } else {
      multiply(x, packedWeight(weight, g), into: y, g)
    }
    guard let bias else { return }
    Rows.add(bias, toRowsOf: y, width: g.outputs)
  }

  /// The gradient with respect to `x`.
  package static func inputGradient(
    _ dy: Buffer, weight: WeightElements, into dx: Buffer, _ g: ConvolutionGeometry
  ) {
    check(dx, weight.count, dy, g)
    if let winograd = Winograd(g.transposed), g.keepsSize {
      winograd.forward(
        dy, kernels: { inputs, outputs, kernels in weight.copy(kernels: outputs, inputs, of: g.inputs, into: kernels) },
        turned: true, bias: nil, into: dx)
    } else if let deep = DeepConvolution(g) {
      deep.inputGradient(dy, weight: weight, into: dx)
    } else if g.isPointwise {
      for outputs in weight.pieces(0..<g.outputs, of: g.inputs) {
        MatrixProduct.multiply(
          Matrix(dy, offset: outputs.lowerBound, stride: g.outputs),
          weight.matrix(rows: outputs, columns: 0..<g.inputs, width: g.inputs),
          into: Matrix(dx, stride: g.inputs), m: g.rows, n: g.inputs, k: outputs.count,
          beta: outputs.lowerBound == 0 ? 0 : 1)
      }
    } else if g.stride == 1 && g.transposed.top >= 0 && g.transposed.left >= 0
      && g.transposed.bottom >= 0 && g.transposed.right >= 0
    {
      let (weight, flipped) = (weight.buffer, Buffer(uninitialized: weight.count))
      sd_flip_weight(
        weight.pointer, flipped.pointer, g.outputs, g.inputs, g.kernelHeight, g.kernelWidth)
      multiply(dy, flipped, into: dx, g.transposed)
    } else {
      scatterInputGradient(dy, packedWeight(weight, g), into: dx, g)
    }
  }

  /// The gradient with respect to the weight.
  ///
  /// Where cores share out rows, the parts are added in order, so that the bits depend only on the thread count.
  package static func weightGradient(
    _ x: Buffer, dy: Buffer, into dw: Buffer, _ g: ConvolutionGeometry
  ) {
    check(x, dw.count, dy, g)
    if g.isPointwise {
      MatrixProduct.multiply(
        Matrix(dy, stride: g.outputs, transposed: true), Matrix(x, stride: g.inputs),
        into: Matrix(dw, stride: g.inputs), m: g.outputs, n: g.inputs, k: g.rows)
    } else if let winograd = Winograd(g), winograd.suitsWeightGradient {
      winograd.weightGradient(x, dy: dy, into: dw)
    } else if let deep = DeepConvolution(g) {
      deep.weightGradient(x, dy: dy, into: dw)
    } else {
      sumWeightGradient(x, dy: dy, into: dw, g)
    }
  }

  private static func sumWeightGradient(
    _ x: Buffer, dy: Buffer, into dw: Buffer, _ g: ConvolutionGeometry
  ) {
    let parts = max(1, min(Parallel.threads, g.rows / 64))
    let length = (g.rows + parts - 1) / parts
    let size = g.outputs * g.patch
    let sums = Buffer(uninitialized: parts * size)
    Parallel.forEach(parts) { part in
      let rows = part * length..<min(g.rows, (part + 1) * length)
      let tile = min(tileRows, max(1, rows.count))
      let unfolded = Buffer(uninitialized: tile * g.patch)
      var beta: Float = 0
      for start in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: tile) {
        let count = min(tile, rows.upperBound - start)
        unfold(x, rows: start..<start + count, into: unfolded, g)
        MatrixProduct.multiplyInline(
          Matrix(dy, offset: start * g.outputs, stride: g.outputs, transposed: true),
          Matrix(unfolded, stride: g.patch),
          into: Matrix(sums, offset: part * size, stride: g.patch), m: g.outputs, n: g.patch, k: count,
          beta: beta)
        beta = 1
      }
      if rows.isEmpty { memset(sums.pointer + part * size, 0, size * 4) }
    }
    Parallel.ranges(size, grain: Elementwise.grain, multiple: 16) { range in
      for part in 1..<parts {
        sd_accumulate(
          sums.pointer + part * size + range.lowerBound, 1, sums.pointer + range.lowerBound, range.count)
      }
    }
    if g.taps == 1 {
      dw.pointer.update(from: sums.pointer, count: dw.count)
    } else {
      sd_unpack_weight(sums.pointer, dw.pointer, g.outputs, g.inputs, g.taps)
    }
  }

  /// `[outputs, inputs, taps]` to `[outputs, taps, inputs]`, the order of an unfolded patch.
  private static func packedWeight(_ weight: WeightElements, _ g: ConvolutionGeometry) -> Buffer {
    let weight = weight.buffer
    guard g.taps > 1 else { return weight }
    let packed = Buffer(uninitialized: weight.count)
    sd_pack_weight(weight.pointer, packed.pointer, g.outputs, g.inputs, g.taps)
    return packed
  }

  private static func multiply(
    _ x: Buffer, _ packed: Buffer, into y: Buffer, _ g: ConvolutionGeometry
  ) {
    let weights = Matrix(packed, stride: g.patch, transposed: true)
    let grain = max(16, 1_000_000 / max(1, g.outputs * g.patch))
    Parallel.ranges(g.rows, grain: grain, multiple: 16) { rows in
      let tile = min(tileRows, rows.count)
      let unfolded = Buffer(uninitialized: tile * g.patch)
      for start in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: tile) {
        let count = min(tile, rows.upperBound - start)
        unfold(x, rows: start..<start + count, into: unfolded, g)
        MatrixProduct.multiplyInline(
          Matrix(unfolded, stride: g.patch), weights,
          into: Matrix(y, offset: start * g.outputs, stride: g.outputs), m: count, n: g.outputs,
          k: g.patch)
      }
    }
  }

  /// The general way back, patch by patch: strides above 1 and unusual padding.
  private static func scatterInputGradient(
    _ dy: Buffer, _ packed: Buffer, into dx: Buffer, _ g: ConvolutionGeometry
  ) {
    let perImage = g.outputHeight * g.outputWidth
    let pixels = g.height * g.width * g.inputs
    Parallel.forEach(g.batch) { image in
      memset(dx.pointer + image * pixels, 0, pixels * 4)
      let tile = min(tileRows, perImage)
      let patches = Buffer(uninitialized: tile * g.patch)
      for start in Swift.stride(from: 0, to: perImage, by: tile) {
        let count = min(tile, perImage - start)
        let row = image * perImage + start
        MatrixProduct.multiplyInline(
          Matrix(dy, offset: row * g.outputs, stride: g.outputs), Matrix(packed, stride: g.patch),
          into: Matrix(patches, stride: g.patch), m: count, n: g.patch, k: g.outputs)
        sd_fold_patches(patches.pointer, dx.pointer, row, count, g.shape)
      }
    }
  }

  private static func unfold(
    _ x: Buffer, rows: Range<Int>, into patches: Buffer, _ g: ConvolutionGeometry
  ) {
    sd_unfold_patches(x.pointer, patches.pointer, rows.lowerBound, rows.count, g.shape)
  }

  private static func check(_ x: Buffer, _ weight: Int, _ y: Buffer, _ g: ConvolutionGeometry) {
    precondition(
      g.outputHeight > 0 && g.outputWidth > 0
        && x.count == g.batch * g.height * g.width * g.inputs
        && weight == g.outputs * g.patch && y.count == g.rows * g.outputs,
      "convolution \(g): buffers of \(x.count), \(weight) and \(y.count) floats do not fit")
  }
}
