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
    let most = max(
      (Self.leastTiles + tilesInRow - 1) / tilesInRow, Self.tileLimit / (Planes.count * tilesInRow * channels))
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

  /// One matrix of so many elements for each of the 36 parts of a transform. Each begins a cache line behind the end of
  /// the one before: places a multiple of 4 KB apart would all be in one set of the first cache.
  private struct Planes: Sendable {
    private let buffer: Buffer
    let apart: Int

    init(_ elements: Int) {
      apart = elements + Int(SD_WINOGRAD_LANES)
      buffer = Buffer(uninitialized: Planes.count * apart)
    }

    static let count = 36

    subscript(part: Int) -> UnsafeMutablePointer<Float> { buffer.pointer + part * apart }

    /// Whether they are larger than the second cache, 2 MB: then they are written past it, without reading what was there,
    /// and each is fetched before its use.
    var areLarge: Bool { buffer.count > 512 << 10 }

    /// Rows `pitch` and 16 columns `group` apart, from an element on.
    func target(_ offset: Int, pitch: Int, group: Int) -> sd_transformed {
      sd_transformed(first: self[0] + offset, plane: apart, pitch: pitch, group: group, streams: areLarge ? 1 : 0)
    }
  }

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

  /// How transformed tiles lie: `[tiles, channels]`, or `[channels / 16, tiles, 16]`.
  private enum Order { case rows, panels }

  /// Some rows of tiles, transformed.
  private func transformed(
    _ x: Buffer, channels: Int, _ rows: Range<Int>, as order: Order = .rows,
    _ transform: @Sendable (UnsafePointer<Float>, sd_image, Int, sd_transformed, UnsafeMutablePointer<Float>) -> Void
  ) -> Planes {
    let (tiles, lanes) = (rows.count * tilesInRow, Int(SD_WINOGRAD_LANES))
    let v = Planes(tiles * channels)
    let (pitch, group) = order == .rows ? (channels, lanes) : (lanes, lanes * tiles)
    Parallel.ranges(rows.count, grain: max(1, 65_536 / (tilesInRow * channels * Planes.count))) { part in
      let scratch = scratch
      for index in part {
        let (image, row) = place(rows.lowerBound + index)
        transform(
          x.pointer + image * height * width * channels, self.image(channels), row,
          v.target(index * tilesInRow * pitch, pitch: pitch, group: group), scratch.pointer)
      }
    }
    return v
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
      let v = transformed(x, channels: inputs, rows, sd_winograd_input)
      let outputs = pieces(rows.count * tilesInRow).outputs
      Parallel.forEach(outputs.count) {
        forward(v, rows, kernels: kernels, turned: turned, bias: bias, outputs: outputs[$0], into: y)
      }
    }
  }

  /// Some outputs of some rows of tiles, on the calling thread.
  private func forward(
    _ v: Planes, _ rows: Range<Int>, kernels: Kernels, turned: Bool, bias: Buffer?, outputs chunk: Range<Int>,
    into y: Buffer
  ) {
    let depths = pieces(rows.count * tilesInRow).inputs
    // Products go back into the image while they are in the second cache. All inputs are one piece then.
    let few = (0..<rows.count).cut(length: max(1, Self.manyTiles / tilesInRow))
    let parts = depths.count == 1 ? few : [0..<rows.count]
    let m = Planes((parts.map(\.count).max() ?? 0) * tilesInRow * chunk.count)
    let scratch = scratch
    for depth in depths {
      let u = transformed(kernels, turned: turned, outputs: chunk, inputs: depth)
      for part in parts {
        multiply(v, part, u, into: m, outputs: chunk.count, inputs: depth)
        guard depth.upperBound == inputs else { continue }
        transformBack(m, part, of: rows, bias: bias, outputs: chunk, into: y, scratch)
      }
    }
  }

  /// Products of some of the rows of tiles, into their images.
  private func transformBack(
    _ m: Planes, _ part: Range<Int>, of rows: Range<Int>, bias: Buffer?, outputs chunk: Range<Int>, into y: Buffer,
    _ scratch: Buffer
  ) {
    for index in part {
      let (image, row) = place(rows.lowerBound + index)
      sd_winograd_output(
        m[0] + (index - part.lowerBound) * tilesInRow * chunk.count, chunk.count, m.apart, bias?.pointer,
        y.pointer + image * height * width * outputs,
        self.image(outputs), row, chunk.lowerBound, chunk.upperBound, scratch.pointer)
    }
  }

  typealias Kernels = @Sendable (_ outputs: Range<Int>, _ inputs: Range<Int>, _ into: Buffer) -> Void

  /// Kernels that are made and transformed at a time: 300 KB.
  private static let kernelLimit = 8192

  /// `[36, outputs / 16, inputs, 16]` of some outputs and inputs.
  private func transformed(
    _ kernels: Kernels, turned: Bool, outputs: Range<Int>, inputs depth: Range<Int>
  ) -> Planes {
    let u = Planes(outputs.count * depth.count)
    let lanes = Int(SD_WINOGRAD_LANES)
    // Whole rows of the weight where they fit, since these lie together.
    let columns = depth.cut(most: Self.kernelLimit / lanes, multiple: 1)
    let rows = outputs.cut(most: Self.kernelLimit / columns[0].count, multiple: lanes)
    // The transform reads whole vectors: a few floats beyond the last kernel.
    let made = Buffer(uninitialized: rows[0].count * columns[0].count * 9 + lanes)
    let transform = turned ? sd_winograd_turned_weight : sd_winograd_weight
    for some in rows {
      for inputs in columns {
        kernels(some, inputs, made)
        let place =
          (some.lowerBound - outputs.lowerBound) * depth.count + (inputs.lowerBound - depth.lowerBound) * lanes
        transform(
          made.pointer, some.count, inputs.count, u.target(place, pitch: lanes, group: lanes * depth.count))
      }
    }
    return u
  }

  /// Adds the products of some rows of tiles and some input channels to `m`, `[36, tiles of these rows, outputs]`; the
  /// first channels set it.
  private func multiply(
    _ v: Planes, _ rows: Range<Int>, _ u: Planes, into m: Planes, outputs: Int, inputs depth: Range<Int>
  ) {
    let tiles = rows.count * tilesInRow
    func operands(_ part: Int) -> (tiles: UnsafeMutablePointer<Float>, kernels: UnsafeMutablePointer<Float>) {
      (v[part] + rows.lowerBound * tilesInRow * inputs + depth.lowerBound, u[part])
    }
    for part in 0..<Planes.count {
      let next = part + 1 < Planes.count ? operands(part + 1) : nil
      sd_product(
        tiles, outputs, depth.count, operands(part).tiles, inputs, 1,
        sd_panels(first: operands(part).kernels, row: 16, panel: 16 * depth.count), m[part], outputs,
        depth.lowerBound > 0 ? 1 : 0, nil,
        sd_operands(a: v.areLarge ? next?.tiles : nil, b: u.areLarge ? next?.kernels : nil))
    }
  }

  /// The gradient with respect to the kernels: the products' gradients, transformed back.
  func weightGradient(_ x: Buffer, dy: Buffer, into dw: Buffer) {
    var isFirst = true
    forEachBlock(channels: max(inputs, outputs)) { rows in
      let v = transformed(x, channels: inputs, rows, as: .panels, sd_winograd_input)
      let dm = transformed(dy, channels: outputs, rows, sd_winograd_output_gradient)
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
    _ v: Planes, _ dm: Planes, tiles: Int, outputs chunk: Range<Int>, inputs depth: Range<Int>, into dw: Buffer,
    adds: Bool
  ) {
    let du = Planes(chunk.count * depth.count)
    for part in 0..<Planes.count {
      let pixels = sd_panels(first: v[part] + depth.lowerBound * tiles, row: 16, panel: 16 * tiles)
      sd_product(
        chunk.count, depth.count, tiles, dm[part] + chunk.lowerBound, 1, outputs, pixels, du[part], depth.count, 0, nil,
        sd_operands())
    }
    let target = dw.pointer + (chunk.lowerBound * inputs + depth.lowerBound) * 9
    guard adds else {
      return sd_winograd_weight_gradient(du[0], du.apart, chunk.count, depth.count, target, inputs)
    }
    let part = Buffer(uninitialized: chunk.count * depth.count * 9)
    sd_winograd_weight_gradient(du[0], du.apart, chunk.count, depth.count, part.pointer, depth.count)
    for row in 0..<chunk.count {
      sd_accumulate(part.pointer + row * depth.count * 9, 1, target + row * inputs * 9, depth.count * 9)
    }
  }
}
