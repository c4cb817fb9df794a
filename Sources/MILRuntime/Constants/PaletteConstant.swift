internal import Kernels

/// Weights as indices into palettes: `constexpr_lut_to_dense`.
///
/// Every element has an index and a palette; where both are found follows from its row (axis 0) and
/// from its place in the row. When all elements of a row share one palette, the row is a plain
/// look-up.
struct PaletteConstant: PackedConstant {
  let count: Int
  private let bits: Int
  private let indices: StoredBytes
  /// Palettes one after the other: `[palettes, 2^bits, vector]`.
  private let table: Buffer
  private let rowLength: Int
  private let vector: Int
  /// First index, and first palette entry, of every row.
  private let indexRows: [Int]
  private let tableRows: [Int]
  /// For rows in which elements have their own palettes.
  private let map: PaletteLookup.Map?

  /// One palette for everything.
  init(_ indices: StoredBytes, bits: Int, count: Int, table: Buffer) {
    self.count = count
    self.bits = bits
    self.indices = indices
    self.table = table
    rowLength = max(1, count)
    vector = 1
    indexRows = [0]
    tableRows = [0]
    map = nil
  }

  /// Palettes by blocks of the indices.
  ///
  /// - Parameters:
  ///   - shape: of the indices, `[d0, d1, …]`
  ///   - groups: palettes along each axis; each divides its dimension
  ///   - table: `[groups…, 2^bits, vector]`
  ///   - vectorAxis: the axis that the vectors lengthen
  init(
    _ indices: StoredBytes, bits: Int, shape: [Int], groups: [Int], table: Buffer, vector: Int,
    vectorAxis: Int
  ) {
    let places = PalettePlaces(
      shape: shape, groups: groups, vector: vector, vectorAxis: vectorAxis, entries: 1 << bits)
    count = shape.reduce(vector, *)
    self.bits = bits
    self.indices = indices
    self.table = table
    self.vector = vector
    rowLength = max(1, places.columnIndices.count)
    indexRows = places.rowIndices
    tableRows = places.rowTables
    let plain =
      places.columnTables.allSatisfy { $0 == 0 }
      && places.columnIndices.indices.allSatisfy { Int(places.columnIndices[$0]) == $0 }
    map =
      plain
      ? nil
      : PaletteLookup.Map(indexOffsets: places.columnIndices, tableOffsets: places.columnTables)
  }

  func decode(_ range: Range<Int>, into y: Buffer, at offset: Int) {
    indices.withBytes { bytes in
      var at = range.lowerBound
      while at < range.upperBound {
        let (row, column) = at.quotientAndRemainder(dividingBy: rowLength)
        let length = min(range.upperBound - at, rowLength - column)
        let out = offset + at - range.lowerBound
        if let map {
          PaletteLookup.decode(
            bytes, bits: bits, columns: column..<column + length, map: map,
            indexBase: indexRows[row], tableBase: tableRows[row], pitch: vector, table: table,
            into: y, at: out)
        } else {
          let palette = vector == 1 ? table : component(row)
          let first = indexRows[row] + column
          PaletteLookup.decode(
            bytes, bits: bits, range: first..<first + length, table: palette,
            tableOffset: vector == 1 ? tableRows[row] : 0, into: y, at: out)
        }
        at += length
      }
    }
  }

  func letGo() { indices.letGo() }

  var listedPlaces: Int { 2 * indexRows.count + (map == nil ? 0 : 2 * rowLength) }

  /// One component of every vector of a row's palette.
  private func component(_ row: Int) -> Buffer {
    let palette = Buffer(uninitialized: 1 << bits)
    StridedCopy.copy(
      table, StridedView(shape: [palette.count], strides: [vector], offset: tableRows[row]),
      into: palette, StridedView(shape: [palette.count]))
    return palette
  }
}

/// Where the elements of a palettized tensor find index and palette, as sums of a part for the row
/// and one for the column.
struct PalettePlaces {
  var rowIndices = [0], rowTables = [0]
  var columnIndices: [UInt32] = [0], columnTables: [UInt32] = [0]

  init(shape: [Int], groups: [Int], vector: Int, vectorAxis: Int, entries: Int) {
    var indexStride = 1
    var tableStride = entries * vector
    for axis in shape.indices.reversed() {
      let stretched = axis == vectorAxis ? vector : 1
      let block = groups[axis] > 0 ? max(1, shape[axis] / groups[axis]) : 1
      let places = (0..<shape[axis] * stretched).map { position in
        let index = position / stretched
        return (
          index: index * indexStride,
          table: index / block * tableStride + (stretched > 1 ? position % stretched : 0)
        )
      }
      if axis == 0 && shape.count > 1 {
        rowIndices = places.map(\.index)
        rowTables = places.map(\.table)
      } else {
        columnIndices = places.flatMap { place in
          columnIndices.map { UInt32(place.index) + $0 }
        }
        columnTables = places.flatMap { place in columnTables.map { UInt32(place.table) + $0 } }
      }
      indexStride *= shape[axis]
      tableStride *= groups[axis]
    }
  }
}
