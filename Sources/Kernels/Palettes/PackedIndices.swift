internal import CKernels

/// Palette indices, each in as few bits as the palette needs.
///
/// Element `i` occupies bits `i·n ..< (i+1)·n` of the stream; bit `b` of the stream is bit
/// `b mod 8` of byte `b / 8`, least significant first. Unused bits of the last byte are zero.
package struct PackedIndices: Sendable, Equatable {
  /// Width of an index, 1 to 8.
  package let bits: Int
  package let count: Int
  package let bytes: [UInt8]

  /// Packs `indices`, each below `2^bits`.
  package init(_ indices: [UInt8], bits: Int) {
    precondition((1...8).contains(bits), "PackedIndices: \(bits) bits")
    if let largest = indices.max() {
      precondition(Int(largest) < 1 << bits, "PackedIndices: index \(largest) in \(bits) bits")
    }
    self.bits = bits
    count = indices.count
    bytes = [UInt8](unsafeUninitializedCapacity: Self.byteCount(count, bits: bits)) { out, count in
      count = Self.byteCount(indices.count, bits: bits)
      if let base = out.baseAddress { sd_pack(indices, indices.count, UInt32(bits), base) }
    }
  }

  /// Packs `indices`, each below `2^bits`.
  package init(_ indices: [UInt16], bits: Int) {
    self.init(indices.map { UInt8($0) }, bits: bits)
  }

  /// Adopts a stream; bits that belong to no element are ignored.
  ///
  /// - Precondition: `bytes` has exactly ``byteCount(_:bits:)`` elements.
  package init(bytes: [UInt8], count: Int, bits: Int) {
    precondition(
      (1...8).contains(bits) && bytes.count == Self.byteCount(count, bits: bits),
      "PackedIndices: \(bytes.count) bytes for \(count) indices of \(bits) bits")
    self.bits = bits
    self.count = count
    self.bytes = bytes
  }

  package static func byteCount(_ count: Int, bits: Int) -> Int {
    let (bits, overflow) = count.multipliedReportingOverflow(by: bits)
    precondition(!overflow && count >= 0, "PackedIndices: \(count) indices")
    return bits / 8 + (bits % 8 == 0 ? 0 : 1)
  }

  package func unpacked() -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { out, filled in
      if let base = out.baseAddress {
        sd_unpack(bytes, bytes.count, UInt32(bits), 0, count, base)
      }
      filled = count
    }
  }

  /// Writes `table[index]` for every index of `range` into `y` from `offset` on.
  ///
  /// - Parameter table: `[2^bits]`
  package func decode(
    _ range: Range<Int>, table: Buffer, tableOffset: Int = 0, into y: Buffer, at offset: Int = 0
  ) {
    bytes.withUnsafeBytes { bytes in
      PaletteLookup.decode(
        RawSpan(_unsafeBytes: bytes), bits: bits, range: range, table: table,
        tableOffset: tableOffset, into: y, at: offset)
    }
  }
}

/// Palette look-ups in streams of packed indices that lie anywhere in memory.
package enum PaletteLookup {
  /// Writes `table[tableOffset + index]` for every index of `range` into `y` from `offset` on.
  package static func decode(
    _ stream: RawSpan, bits: Int, range: Range<Int>, table: Buffer, tableOffset: Int = 0,
    into y: Buffer, at offset: Int
  ) {
    guard !range.isEmpty else { return }
    precondition(
      range.lowerBound >= 0
        && PackedIndices.byteCount(range.upperBound, bits: bits) <= stream.byteCount
        && tableOffset >= 0 && tableOffset + (1 << bits) <= table.count
        && offset >= 0 && offset + range.count <= y.count,
      "look-up of \(range) in \(stream.byteCount) bytes reaches outside its buffers")
    stream.withUnsafeBytes { bytes in
      guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
      sd_look_up(
        base, bytes.count, UInt32(bits), range.lowerBound, range.count,
        table.pointer + tableOffset, y.pointer + offset)
    }
  }

  /// Where each element of a row finds its index and its table.
  package struct Map: Sendable {
    /// Added to the row's first index.
    let indexOffsets: [UInt32]
    /// Added to the row's first table.
    let tableOffsets: [UInt32]
    private let largestIndex: Int
    private let largestTable: Int

    package init(indexOffsets: [UInt32], tableOffsets: [UInt32]) {
      precondition(indexOffsets.count == tableOffsets.count, "one index and one table an element")
      self.indexOffsets = indexOffsets
      self.tableOffsets = tableOffsets
      largestIndex = Int(indexOffsets.max() ?? 0)
      largestTable = Int(tableOffsets.max() ?? 0)
    }

    func fits(_ stream: Int, bits: Int, indexBase: Int, tableBase: Int, pitch: Int, table: Int)
      -> Bool
    {
      indexBase >= 0 && tableBase >= 0
        && PackedIndices.byteCount(indexBase + largestIndex + 1, bits: bits) <= stream
        && tableBase + largestTable + pitch * ((1 << bits) - 1) < table
    }
  }

  /// Writes elements `columns` of a row whose elements have their own places and tables.
  ///
  ///     y = table[tableBase + tableOffset + pitch · index(indexBase + indexOffset)]
  package static func decode(
    _ stream: RawSpan, bits: Int, columns: Range<Int>, map: Map, indexBase: Int, tableBase: Int,
    pitch: Int, table: Buffer, into y: Buffer, at offset: Int
  ) {
    guard !columns.isEmpty else { return }
    precondition(
      columns.lowerBound >= 0 && columns.upperBound <= map.indexOffsets.count
        && offset >= 0 && offset + columns.count <= y.count
        && map.fits(
          stream.byteCount, bits: bits, indexBase: indexBase, tableBase: tableBase, pitch: pitch,
          table: table.count),
      "look-up of columns \(columns) reaches outside its buffers")
    stream.withUnsafeBytes { bytes in
      map.indexOffsets.withUnsafeBufferPointer { indices in
        map.tableOffsets.withUnsafeBufferPointer { tables in
          guard let base = bytes.bindMemory(to: UInt8.self).baseAddress,
            let indices = indices.baseAddress, let tables = tables.baseAddress
          else { return }
          sd_look_up_scattered(
            base, bytes.count, UInt32(bits), indexBase, indices + columns.lowerBound, tableBase,
            tables + columns.lowerBound, pitch, columns.count, table.pointer, y.pointer + offset)
        }
      }
    }
  }

  /// `y = (y − shift) · scale` for `columns` of a row, scale and shift looked up at `base +
  /// offsets[column]`.
  package static func shiftScale(
    _ y: Buffer, at offset: Int, columns: Range<Int>, base: Int, offsets: [UInt32],
    shift: Buffer?, scale: Buffer
  ) {
    guard !columns.isEmpty else { return }
    precondition(
      columns.lowerBound >= 0 && columns.upperBound <= offsets.count
        && offset >= 0 && offset + columns.count <= y.count && base >= 0
        && (shift.map { $0.count == scale.count } ?? true),
      "scale of columns \(columns) reaches outside its buffers")
    offsets.withUnsafeBufferPointer { offsets in
      let part = UnsafeBufferPointer(rebasing: offsets[columns])
      precondition(base + Int(part.max() ?? 0) < scale.count, "scale outside its buffer")
      guard let first = part.baseAddress else { return }
      sd_shift_scale_scattered(
        y.pointer + offset, columns.count, base, first, shift?.pointer, scale.pointer)
    }
  }
}
