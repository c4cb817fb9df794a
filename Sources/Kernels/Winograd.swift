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

  /// Floats of transformed tiles at a time, 16 MB, but no fewer tiles than make kernels worth their transform.
  private static let tileLimit = 4 << 20, leastTiles = 256

  /// Nil where unfolding is faster: where the kernels are transformed for too few tiles, or the products are too small.
  init?(batch: Int, height: Int, width: Int, inputs: Int, outputs: Int, planar: Bool) {
    let lanes = Int(SD_WINOGRAD_LANES)
    guard inputs % lanes == 0, outputs % lanes == 0, min(inputs, outputs) >= 64, min(height, width) >= 8 else {
      return nil
    }
    self.batch = batch
    self.height = height
    self.width = width
    self.inputs = inputs
    self.outputs = outputs
    self.planar = planar
  }

  /// Whether the gradient with respect to the kernels is faster this way too: it transforms back what is larger than they are.
  var suitsWeightGradient: Bool { min(height, width) >= 16 }

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
    let most = max((Self.leastTiles + tilesInRow - 1) / tilesInRow, Self.tileLimit / (36 * tilesInRow * channels))
    let blocks = (count + most - 1) / most
    for block in 0..<blocks {
      body(count * block / blocks..<count * (block + 1) / blocks)
    }
  }

  /// Tiles that make long products.
  private static let manyTiles = 128

  /// How the kernels are cut, transformed ones of a piece at a time.
  ///
  /// With many tiles the products are long and share their tiles best between many outputs. With few, the transformed
  /// kernels are the larger part: a piece of them stays in the second cache.
  private func pieces(_ tiles: Int) -> (outputs: [Range<Int>], inputs: [Range<Int>]) {
    let isWide = tiles >= Self.manyTiles
    let outputs = Self.cut(self.outputs, most: isWide ? 96 : 48, multiple: Parallel.threads)
    return (outputs, Self.cut(inputs, most: isWide ? inputs : 96, multiple: 1))
  }

  /// Where a plane of so many elements ends and the next of 36 begins: a cache line further on, since places a multiple
  /// of 4 KB apart would all be in one set of the first cache.
  private static func plane(_ count: Int) -> Int { count + Int(SD_WINOGRAD_LANES) }

  /// Channels in equal pieces, as many as a multiple.
  private static func cut(_ channels: Int, most: Int, multiple: Int) -> [Range<Int>] {
    let lanes = Int(SD_WINOGRAD_LANES)
    let count = (channels + most * multiple - 1) / (most * multiple) * multiple
    let length = max(lanes, ((channels + count - 1) / count + lanes - 1) / lanes * lanes)
    return (0..<channels).cut(length: length)
  }

  private var scratch: Buffer { Buffer(uninitialized: 6 * (width + 8) * Int(SD_WINOGRAD_LANES)) }

  /// The image that a row of tiles belongs to, and its number there.
  private func place(_ row: Int) -> (image: Int, row: Int) { (row / rowsOfTiles, row % rowsOfTiles) }

  /// `[36, tiles, channels]` of some rows of tiles, every ``plane(_:)`` of them.
  private func transformed(
    _ x: Buffer, channels: Int, _ rows: Range<Int>,
    _ transform:
      @Sendable (UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
  ) -> Buffer {
    let plane = Self.plane(rows.count * tilesInRow * channels)
    let v = Buffer(uninitialized: 36 * plane)
    Parallel.ranges(rows.count, grain: max(1, 65_536 / (tilesInRow * channels * 36))) { part in
      let scratch = scratch
      for index in part {
        let (image, row) = place(rows.lowerBound + index)
        transform(
          x.pointer + image * height * width * channels, row, v.pointer + index * tilesInRow * channels, plane,
          scratch.pointer)
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
  ///   - kernels: writes those of some outputs and inputs, `[outputs, inputs, 3, 3]`.
  ///   - turned: whether they are those of the way back, `[inputs, outputs, 3, 3]` with the taps in the other direction.
  ///   - bias: `[outputs]`
  /// - Complexity: 2 · 36 / 16 · pixels · inputs · outputs FLOPs and the transforms.
  func forward(_ x: Buffer, kernels: Kernels, turned: Bool = false, bias: Buffer?, into y: Buffer) {
    forEachBlock(channels: inputs) { rows in
      let v = transformedInput(x, rows)
      let outputs = pieces(rows.count * tilesInRow).outputs
      Parallel.forEach(outputs.count) {
        forward(v, rows, kernels: kernels, turned: turned, bias: bias, outputs: outputs[$0], into: y)
      }
    }
  }

  /// Some outputs of some rows of tiles, on the calling thread.
  private func forward(
    _ v: Buffer, _ rows: Range<Int>, kernels: Kernels, turned: Bool, bias: Buffer?, outputs chunk: Range<Int>,
    into y: Buffer
  ) {
    let tiles = rows.count * tilesInRow
    let depths = pieces(tiles).inputs
    // Products go back into the image while they are in the second cache. All inputs are one piece then.
    let few = (0..<rows.count).cut(length: max(1, Self.manyTiles / tilesInRow))
    let parts = depths.count == 1 ? few : [0..<rows.count]
    let m = Buffer(uninitialized: 36 * Self.plane((parts.map(\.count).max() ?? 0) * tilesInRow * chunk.count))
    let scratch = scratch
    for depth in depths {
      let u = transformed(kernels, turned: turned, outputs: chunk, inputs: depth)
      for part in parts {
        multiply(v, tiles, part, u, into: m, outputs: chunk.count, inputs: depth)
        guard depth.upperBound == inputs else { continue }
        transformBack(m, part, of: rows, bias: bias, outputs: chunk, into: y, scratch)
      }
    }
  }

  /// Products of some of the rows of tiles, into their images.
  private func transformBack(
    _ m: Buffer, _ part: Range<Int>, of rows: Range<Int>, bias: Buffer?, outputs chunk: Range<Int>, into y: Buffer,
    _ scratch: Buffer
  ) {
    for index in part {
      let (image, row) = place(rows.lowerBound + index)
      sd_winograd_output(
        m.pointer + (index - part.lowerBound) * tilesInRow * chunk.count, chunk.count,
        Self.plane(part.count * tilesInRow * chunk.count), bias?.pointer, y.pointer + image * height * width * outputs,
        self.image(outputs), row, chunk.lowerBound, chunk.upperBound, scratch.pointer)
    }
  }

  typealias Kernels = @Sendable (_ outputs: Range<Int>, _ inputs: Range<Int>, _ into: Buffer) -> Void

  /// Kernels that are made and transformed at a time: 300 KB.
  private static let kernelLimit = 8192

  /// `[36, outputs / 16, inputs, 16]` of some outputs and inputs.
  private func transformed(
    _ kernels: Kernels, turned: Bool, outputs: Range<Int>, inputs depth: Range<Int>
  ) -> Buffer {
    let plane = Self.plane(outputs.count * depth.count)
    let u = Buffer(uninitialized: 36 * plane)
    let lanes = Int(SD_WINOGRAD_LANES)
    // Whole rows of the weight where they fit, since these lie together.
    let columns = depth.cut(most: Self.kernelLimit / lanes, multiple: 1)
    let rows = outputs.cut(most: Self.kernelLimit / columns[0].count, multiple: lanes)
    // The transform reads whole vectors: a few floats beyond the last kernel.
    let made = Buffer(uninitialized: rows[0].count * columns[0].count * 9 + lanes)
    for some in rows {
      for inputs in columns {
        kernels(some, inputs, made)
        let place =
          (some.lowerBound - outputs.lowerBound) * depth.count + (inputs.lowerBound - depth.lowerBound) * lanes
        let transform = turned ? sd_winograd_turned_weight : sd_winograd_weight
        transform(made.pointer, some.count, inputs.count, u.pointer + place, depth.count, plane)
      }
    }
    return u
  }

  /// Adds the products of some rows of tiles and some input channels to `m`, `[36, tiles of these rows, outputs]`; the
  /// first channels set it.
  ///
  /// - Parameter tiles: of `v`, `[36, tiles, inputs]`.
  private func multiply(
    _ v: Buffer, _ tiles: Int, _ rows: Range<Int>, _ u: Buffer, into m: Buffer, outputs: Int, inputs depth: Range<Int>
  ) {
    let (first, count) = (rows.lowerBound * tilesInRow, rows.count * tilesInRow)
    let (kernels, patches) = (Self.plane(outputs * depth.count), Self.plane(tiles * inputs))
    for part in 0..<36 {
      let panels = sd_panels(first: u.pointer + part * kernels, row: 16, panel: 16 * depth.count)
      sd_product(
        count, outputs, depth.count, v.pointer + part * patches + first * inputs + depth.lowerBound, inputs, 1, panels,
        m.pointer + part * Self.plane(count * outputs), outputs, depth.lowerBound > 0 ? 1 : 0, nil)
    }
  }

  /// The gradient with respect to the kernels: the products' gradients, transformed back.
  func weightGradient(_ x: Buffer, dy: Buffer, into dw: Buffer) {
    let shape = image(outputs)
    var isFirst = true
    forEachBlock(channels: max(inputs, outputs)) { rows in
      let v = transformedInput(x, rows)
      let dm = transformed(dy, channels: outputs, rows) { dy, row, dm, plane, scratch in
        sd_winograd_output_gradient(dy, shape, row, 0, shape.channels, dm, shape.channels, plane, scratch)
      }
      let tiles = rows.count * tilesInRow
      let pieces = pieces(tiles)
      let adds = !isFirst
      isFirst = false
      Parallel.forEach(pieces.outputs.count) { index in
        for depth in pieces.inputs {
          weightGradient(v, dm, tiles: tiles, outputs: pieces.outputs[index], inputs: depth, into: dw, adds: adds)
        }
      }
    }
  }

  /// Of some outputs and inputs.
  private func weightGradient(
    _ v: Buffer, _ dm: Buffer, tiles: Int, outputs chunk: Range<Int>, inputs depth: Range<Int>, into dw: Buffer,
    adds: Bool
  ) {
    let plane = Self.plane(chunk.count * depth.count)
    let du = Buffer(uninitialized: 36 * plane)
    for part in 0..<36 {
      let pixels = sd_panels(
        first: v.pointer + part * Self.plane(tiles * inputs) + depth.lowerBound, row: inputs, panel: 16)
      sd_product(
        chunk.count, depth.count, tiles, dm.pointer + part * Self.plane(tiles * outputs) + chunk.lowerBound, 1, outputs,
        pixels,
        du.pointer + part * plane, depth.count, 0, nil)
    }
    let target = dw.pointer + (chunk.lowerBound * inputs + depth.lowerBound) * 9
    guard adds else {
      return sd_winograd_weight_gradient(du.pointer, plane, chunk.count, depth.count, target, inputs)
    }
    let part = Buffer(uninitialized: chunk.count * depth.count * 9)
    sd_winograd_weight_gradient(du.pointer, plane, chunk.count, depth.count, part.pointer, depth.count)
    for row in 0..<chunk.count {
      sd_accumulate(part.pointer + row * depth.count * 9, 1, target + row * inputs * 9, depth.count * 9)
    }
  }
}
