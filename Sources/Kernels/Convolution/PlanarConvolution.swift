internal import CKernels

/// A convolution whose images lie plane by plane, `[batch, channels, height, width]`, and whose
/// weights are decoded a few output channels at a time.
///
/// A kernel of one pixel is a matrix product on the planes themselves: with many pixels every thread takes some of them at
/// a time, with few it takes some outputs. Other kernels unfold a limited number of output pixels into columns
/// `[channels · kernel, pixels]` first.
package struct PlanarConvolution: Sendable {
  package var batch, inputs, height, width: Int
  package var outputs: Int
  package var kernel: (height: Int, width: Int)
  package var stride = (y: 1, x: 1)
  package var dilation = (y: 1, x: 1)
  /// Rows and columns of zeros before the image; those behind it follow from the output's size.
  package var padding = (top: 0, left: 0)
  package var groups = 1
  package var outHeight, outWidth: Int

  package init(
    batch: Int, inputs: Int, height: Int, width: Int, outputs: Int,
    kernel: (height: Int, width: Int), outHeight: Int, outWidth: Int
  ) {
    self.batch = batch
    self.inputs = inputs
    self.height = height
    self.width = width
    self.outputs = outputs
    self.kernel = kernel
    self.outHeight = outHeight
    self.outWidth = outWidth
  }

  /// Floats in a block of unfolded columns: 16 MB.
  private static let columnLimit = 4 << 20
  /// Floats in a decoded tile of weights: 1 MB.
  private static let tileLimit = 256 << 10
  /// Floats in the weights that are decoded at a time, in one of their tiles, and in a panel of pixels: 16 MB, and parts
  /// that stay in the second cache together.
  private static let weightLimit = 4 << 20, smallTile = 64 << 10, pixelLimit = 128 << 10

  /// Some output pixels of one image.
  private struct Part {
    let image: Int
    let pixels: Range<Int>
    /// Where the columns begin, and the distance of their rows.
    let offset, stride: Int
  }

  private var pixels: Int { outHeight * outWidth }
  /// Length of a weight row.
  private var depth: Int { inputs / groups * kernel.height * kernel.width }
  private var isPointwise: Bool {
    kernel == (1, 1) && stride == (1, 1) && padding == (0, 0)
      && outHeight == height && outWidth == width
  }

  private var winograd: Winograd? {
    guard kernel == (3, 3), stride == (1, 1), dilation == (1, 1), padding == (1, 1), groups == 1,
      outHeight == height, outWidth == width
    else { return nil }
    return Winograd(batch: batch, height: height, width: width, inputs: inputs, outputs: outputs, planar: true)
  }

  /// - Parameters:
  ///   - x: `[batch, inputs, height, width]`
  ///   - weight: `[outputs, inputs / groups, kernel height, kernel width]`
  ///   - bias: `[outputs]`
  /// - Returns: `[batch, outputs, outHeight, outWidth]`
  /// - Complexity: 2 · batch · outputs · depth · pixels FLOPs.
  package func callAsFunction(_ x: Buffer, weight: WeightElements, bias: Buffer?) -> Buffer {
    precondition(
      x.count == batch * inputs * height * width && (bias?.count ?? outputs) == outputs
        && weight.count == outputs * depth && groups > 0 && inputs % groups == 0 && outputs % groups == 0,
      "convolution of \(x.count) elements with \(self)")
    let y = Buffer(uninitialized: batch * outputs * pixels)
    guard y.count > 0 else { return y }
    guard depth > 0 else {
      for plane in 0..<batch * outputs {
        (y.pointer + plane * pixels).update(repeating: bias?[plane % outputs] ?? 0, count: pixels)
      }
      return y
    }
    if let winograd {
      winograd.forward(
        x, kernels: { outputs, inputs, kernels in weight.copy(kernels: outputs, inputs, of: depth / 9, into: kernels) },
        bias: bias, into: y)
      return y
    }
    for group in 0..<groups {
      if isPointwise, pixels % Panels.width == 0, 4 * batch * pixels >= outputs / groups {
        multiplyPixels(of: x, group: group, weight: weight, bias: bias, into: y)
      } else if isPointwise {
        let start = group * (inputs / groups) * pixels
        let parts = (0..<batch).map {
          Part(
            image: $0, pixels: 0..<pixels, offset: $0 * inputs * pixels + start, stride: pixels)
        }
        multiply(parts, columns: x, group: group, weight: weight, bias: bias, into: y)
      } else {
        forEachBlock { parts, count in
          let columns = Buffer(uninitialized: count)
          unfold(x, parts, group: group, into: columns)
          multiply(parts, columns: columns, group: group, weight: weight, bias: bias, into: y)
        }
      }
    }
    return y
  }

  /// Cuts the output pixels of all images into blocks whose columns fit the limit.
  private func forEachBlock(_ body: ([Part], Int) -> Void) {
    var parts: [Part] = []
    var filled = 0
    let most = max(1, Self.columnLimit / depth)
    for image in 0..<batch {
      var first = 0
      while first < pixels {
        if filled >= most {
          body(parts, filled * depth)
          (parts, filled) = ([], 0)
        }
        let count = min(pixels - first, most - filled)
        parts.append(
          Part(image: image, pixels: first..<first + count, offset: filled * depth, stride: count))
        filled += count
        first += count
      }
    }
    if !parts.isEmpty { body(parts, filled * depth) }
  }

  private func unfold(_ x: Buffer, _ parts: [Part], group: Int, into columns: Buffer) {
    let depth = depth
    Parallel.ranges(depth, grain: max(1, 16384 / max(1, columns.count / depth))) { rows in
      for row in rows {
        let (channel, tap) = row.quotientAndRemainder(dividingBy: kernel.height * kernel.width)
        let plane = group * (inputs / groups) + channel
        for part in parts {
          sd_unfold(
            x.pointer + (part.image * inputs + plane) * height * width, height, width, outWidth,
            tap / kernel.width * dilation.y - padding.top,
            tap % kernel.width * dilation.x - padding.left, stride.y, stride.x,
            part.pixels.lowerBound, part.pixels.upperBound,
            columns.pointer + part.offset + row * part.stride)
        }
      }
    }
  }

  /// A kernel of one pixel: weights are decoded once, then every thread copies some pixels into panels and multiplies them
  /// with all weights.
  private func multiplyPixels(of x: Buffer, group: Int, weight: WeightElements, bias: Buffer?, into y: Buffer) {
    let outputs = self.outputs / groups
    let pieces = (0..<pixels).cut(most: Self.pixelLimit / depth, multiple: 3 * Panels.width)
    let plane = group * depth * pixels
    for rows in (group * outputs..<(group + 1) * outputs).cut(
      most: Self.weightLimit / depth, multiple: PackedRows.height)
    {
      let tiles = rows.cut(most: Self.smallTile / depth, multiple: PackedRows.height)
      let matrices = Parallel.map(tiles.count) { tile in
        PackedRows(weight.rows(tiles[tile], of: depth), rows: tiles[tile].count, columns: depth)
      }
      Parallel.forEach(batch * pieces.count) { index in
        let (image, piece) = index.quotientAndRemainder(dividingBy: pieces.count)
        let panels = Panels(
          x, offset: image * inputs * pixels + plane + pieces[piece].lowerBound, stride: pixels, rows: depth,
          columns: pieces[piece].count)
        for (tile, matrix) in zip(tiles, matrices) {
          panels.multiplyInline(
            matrix, bias: bias, from: tile.lowerBound, into: y,
            offset: (image * self.outputs + tile.lowerBound) * pixels + pieces[piece].lowerBound, stride: pixels)
        }
      }
    }
  }

  /// Decodes weights tile by tile and multiplies each with all parts.
  private func multiply(
    _ parts: [Part], columns: Buffer, group: Int, weight: WeightElements, bias: Buffer?, into y: Buffer
  ) {
    let outputs = self.outputs / groups
    let first = group * outputs
    let share = (outputs + 8 * Parallel.threads - 1) / (8 * Parallel.threads) * 8
    let tile = max(8, min(share, max(16, Self.tileLimit / depth / 8 * 8)))
    let panels = parts.map { part in
      part.pixels.count % Panels.width == 0
        ? Panels(columns, offset: part.offset, stride: part.stride, rows: depth, columns: part.pixels.count) : nil
    }
    Parallel.forEach((outputs + tile - 1) / tile) { index in
      let rows = first + index * tile..<first + min(outputs, (index + 1) * tile)
      let matrix = weight.rows(rows, of: depth)
      for (part, panels) in zip(parts, panels) {
        let start = (part.image * self.outputs + rows.lowerBound) * pixels + part.pixels.lowerBound
        if let panels {
          panels.multiplyInline(
            matrix, m: rows.count, bias: bias, from: rows.lowerBound, into: y, offset: start, stride: pixels)
          continue
        }
        MatrixProduct.multiplyInline(
          Matrix(matrix, stride: depth), Matrix(columns, offset: part.offset, stride: part.stride),
          into: Matrix(y, offset: start, stride: pixels), m: rows.count, n: part.pixels.count, k: depth)
        guard let bias else { continue }
        for row in rows {
          sd_add_constant(
            y.pointer + start + (row - rows.lowerBound) * pixels, bias.pointer[row],
            part.pixels.count)
        }
      }
    }
  }
}
