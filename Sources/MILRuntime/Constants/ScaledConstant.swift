internal import Kernels

/// `(data − shift) · scale` with scale and shift repeated over blocks: linear quantization, and
/// scales of palettes.
struct ScaledConstant: PackedConstant {
  let count: Int
  private let data: any PackedConstant
  private let scale: Buffer
  private let shift: Buffer?
  private let roundsToHalf: Bool
  private let rowLength: Int
  /// First scale of every row, and what each place in a row adds to it.
  private let rowScales: [Int]
  private let columnScales: [UInt32]

  /// - Parameters:
  ///   - shape: of the data
  ///   - blocks: the scale's shape, each dimension of which divides the data's
  init(
    _ data: any PackedConstant, shape: [Int], scale: Buffer, shift: Buffer?, blocks: [Int],
    roundsToHalf: Bool
  ) {
    let places = PalettePlaces(shape: shape, groups: blocks, vector: 1, vectorAxis: -1, entries: 1)
    count = data.count
    self.data = data
    self.scale = scale
    self.shift = shift
    self.roundsToHalf = roundsToHalf
    rowLength = max(1, places.columnTables.count)
    rowScales = places.rowTables
    columnScales = places.columnTables
  }

  func decode(_ range: Range<Int>, into y: Buffer, at offset: Int) {
    data.decode(range, into: y, at: offset)
    var at = range.lowerBound
    while at < range.upperBound {
      let (row, column) = at.quotientAndRemainder(dividingBy: rowLength)
      let length = min(range.upperBound - at, rowLength - column)
      PaletteLookup.shiftScale(
        y, at: offset + at - range.lowerBound, columns: column..<column + length,
        base: rowScales[row], offsets: columnScales, shift: shift, scale: scale)
      at += length
    }
    if roundsToHalf { HalfPrecision.round(y, at: offset, count: range.count) }
  }

  func letGo() { data.letGo() }

  var listedPlaces: Int { rowScales.count + columnScales.count }
}
