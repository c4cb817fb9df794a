internal import CKernels

/// 3×3 convolution of stride 1 and padding 1 with a quarter of the multiplications: Winograd's F(4×4, 3×3)
/// (Lavin & Gray 2016).
///
/// Tiles of 6×6 pixels are transformed once, `[36, tiles, inputs]`. Then every thread takes some output channels at a
/// time: it decodes and transforms their kernels, multiplies 36 pairs of small matrices and transforms the products
/// back. Neither the patches nor all transformed kernels ever exist.
///
/// Errors are some ten times those of the direct sum: 3·10⁻⁵ for results of size 3.
struct Winograd: Sendable {
  let batch, height, width, inputs, outputs: Int
  /// Whether images lie plane by plane, `[batch, channels, height, width]`, and not channels-last.
  let planar: Bool

  /// Floats of transformed tiles at a time: 64 MB.
  private static let tileLimit = 16 << 20
  /// Output channels that a thread takes at most.
  private static let chunkLimit = 128

  /// Nil where unfolding is faster: where the kernels are transformed for too few tiles, or the products are too small.
  init?(batch: Int, height: Int, width: Int, inputs: Int, outputs: Int, planar: Bool) {
    let lanes = Int(SD_WINOGRAD_LANES)
    guard inputs % lanes == 0, outputs % lanes == 0, min(inputs, outputs) >= 64, min(height, width) >= 16 else {
      return nil
    }
    self.batch = batch
    self.height = height
    self.width = width
    self.inputs = inputs
    self.outputs = outputs
    self.planar = planar
  }

  /// Of channels-last images.
  init?(_ g: ConvolutionGeometry) {
    guard g.keepsSize else { return nil }
    self.init(
      batch: g.batch, height: g.height, width: g.width, inputs: g.inputs, outputs: g.outputs, planar: false)
  }

  private var rowsOfTiles: Int { (height + 3) / 4 }
  private var tilesInRow: Int { (width + 3) / 4 }

  private func image(_ channels: Int) -> sd_image {
    sd_image(height: height, width: width, channels: channels, planar: planar ? 1 : 0)
  }

  /// Rows of tiles of the whole batch, a block of them at a time.
  private func forEachBlock(channels: Int, _ body: (Range<Int>) -> Void) {
    let count = batch * rowsOfTiles
    let most = max(1, Self.tileLimit / (36 * tilesInRow * channels))
    let blocks = (count + most - 1) / most
    for block in 0..<blocks {
      body(count * block / blocks..<count * (block + 1) / blocks)
    }
  }

  /// Output channels in pieces that share out evenly over the threads.
  private var chunks: [Range<Int>] {
    let lanes = Int(SD_WINOGRAD_LANES)
    let share = Parallel.threads * Self.chunkLimit
    let pieces = Parallel.threads * ((outputs + share - 1) / share)
    let length = max(lanes, ((outputs + pieces - 1) / pieces + lanes - 1) / lanes * lanes)
    return Swift.stride(from: 0, to: outputs, by: length).map { $0..<min(outputs, $0 + length) }
  }

  private var scratch: Buffer { Buffer(uninitialized: 6 * (width + 8) * Int(SD_WINOGRAD_LANES)) }

  /// Lends each row of tiles its image and number within the image.
  private func place(_ row: Int) -> (image: Int, row: Int) { (row / rowsOfTiles, row % rowsOfTiles) }

  /// `[36, tiles, channels]` of some rows of tiles.
  private func transformed(
    _ x: Buffer, channels: Int, _ rows: Range<Int>,
    _ transform:
      @Sendable (UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
  ) -> Buffer {
    let tiles = rows.count * tilesInRow
    let v = Buffer(uninitialized: 36 * tiles * channels)
    Parallel.ranges(rows.count, grain: max(1, 65_536 / (tilesInRow * channels * 36))) { part in
      let scratch = scratch
      for index in part {
        let (image, row) = place(rows.lowerBound + index)
        transform(
          x.pointer + image * height * width * channels, row, v.pointer + index * tilesInRow * channels,
          tiles * channels, scratch.pointer)
      }
    }
    return v
  }

  private func transformedInput(_ x: Buffer, _ rows: Range<Int>) -> Buffer {
    let shape = image(inputs)
    return transformed(x, channels: inputs, rows) { x, row, v, plane, scratch in
      sd_winograd_input(x, shape, row, 0, shape.channels, v, shape.channels, plane, scratch)
    }
  }

  /// `y = x * weight + bias`
  ///
  /// - Parameters:
  ///   - weight: decodes kernels of some outputs, `[outputs, inputs, 3, 3]`.
  ///   - bias: `[outputs]`
  /// - Complexity: 2 · 36 / 16 · pixels · inputs · outputs FLOPs and the transforms.
  func forward(_ x: Buffer, weight: PlanarConvolution.DecodeRows, bias: Buffer?, into y: Buffer) {
    let shape = image(outputs)
    let chunks = chunks
    forEachBlock(channels: inputs) { rows in
      let v = transformedInput(x, rows)
      let tiles = rows.count * tilesInRow
      Parallel.forEach(chunks.count) { index in
        let chunk = chunks[index]
        let u = transformedKernels(chunk, weight)
        let m = Buffer(uninitialized: 36 * tiles * chunk.count)
        for part in 0..<36 {
          MatrixProduct.multiplyInline(
            Matrix(v, offset: part * tiles * inputs, stride: inputs),
            Matrix(u, offset: part * chunk.count * inputs, stride: inputs, transposed: true),
            into: Matrix(m, offset: part * tiles * chunk.count, stride: chunk.count), m: tiles, n: chunk.count,
            k: inputs)
        }
        let scratch = scratch
        for index in 0..<rows.count {
          let (image, row) = place(rows.lowerBound + index)
          sd_winograd_output(
            m.pointer + index * tilesInRow * chunk.count, chunk.count, tiles * chunk.count, bias?.pointer,
            y.pointer + image * height * width * outputs, shape, row, chunk.lowerBound, chunk.upperBound,
            scratch.pointer)
        }
      }
    }
  }

  private func transformedKernels(_ chunk: Range<Int>, _ weight: PlanarConvolution.DecodeRows) -> Buffer {
    let kernels = Buffer(uninitialized: chunk.count * inputs * 9)
    weight(chunk, kernels)
    let u = Buffer(uninitialized: 36 * chunk.count * inputs)
    sd_winograd_weight(kernels.pointer, chunk.count, inputs, u.pointer, chunk.count * inputs)
    return u
  }

  /// The gradient with respect to the kernels: the products' gradients, transformed back.
  func weightGradient(_ x: Buffer, dy: Buffer, into dw: Buffer) {
    let shape = image(outputs)
    let chunks = chunks
    var isFirst = true
    forEachBlock(channels: max(inputs, outputs)) { rows in
      let v = transformedInput(x, rows)
      let dm = transformed(dy, channels: outputs, rows) { dy, row, dm, plane, scratch in
        sd_winograd_output_gradient(dy, shape, row, 0, shape.channels, dm, shape.channels, plane, scratch)
      }
      let tiles = rows.count * tilesInRow
      let adds = !isFirst
      isFirst = false
      Parallel.forEach(chunks.count) { index in
        let chunk = chunks[index]
        let du = Buffer(uninitialized: 36 * chunk.count * inputs)
        for part in 0..<36 {
          MatrixProduct.multiplyInline(
            Matrix(dm, offset: part * tiles * outputs + chunk.lowerBound, stride: outputs, transposed: true),
            Matrix(v, offset: part * tiles * inputs, stride: inputs),
            into: Matrix(du, offset: part * chunk.count * inputs, stride: inputs), m: chunk.count, n: inputs,
            k: tiles)
        }
        let size = inputs * 9
        let target = dw.pointer + chunk.lowerBound * size
        guard adds else {
          return sd_winograd_weight_gradient(du.pointer, chunk.count * inputs, chunk.count, inputs, target)
        }
        let part = Buffer(uninitialized: chunk.count * size)
        sd_winograd_weight_gradient(du.pointer, chunk.count * inputs, chunk.count, inputs, part.pointer)
        sd_accumulate(part.pointer, 1, target, part.count)
      }
    }
  }
}
