package import Kernels

/// A tensor whose elements are indices into tables of half-precision numbers.
package struct PalettizedTensor: Sendable, Equatable {
  package let layout: PaletteLayout
  package let bits: Int
  /// `[groups, 2^bits, vector]`; fitted ones ascend in each group, and zeros fill up.
  package let entries: StoredEntries
  /// Row-major, of the shape ``PaletteLayout/indexShape``.
  package let indices: [UInt8]
  /// Factors for each channel as binary16 codes.
  package let scale: [UInt16]?

  package init(
    layout: PaletteLayout, bits: Int, entries: StoredEntries, indices: [UInt8], scale: [UInt16]? = nil
  ) {
    precondition(
      indices.count * layout.vector == layout.count && scale?.count ?? layout.channels == layout.channels,
      "PalettizedTensor: \(indices.count) indices for \(layout)")
    precondition(
      entries.codes.count == layout.groups * layout.vector << bits,
      "PalettizedTensor: \(entries.codes.count) numbers of \(bits) bits for \(layout)")
    self.layout = layout
    self.bits = bits
    self.entries = entries
    self.indices = indices
    self.scale = scale
  }

  /// Axes of the tensor, outermost first.
  package var shape: [Int] { layout.shape }

  /// The tensor's elements, as Core ML computes them: entry times scale, rounded to half precision.
  package func decoded() -> Buffer {
    let arrangement = layout.arrangement
    let elements = PaletteEntries.gather(
      Buffer(entries.values), arrangement.arranged(indices), groups: layout.groups, vector: layout.vector)
    guard let scale else { return arrangement.restored(elements) }
    return HalfPrecision.rounded(
      arrangement.restored(elements, factors: Buffer(scale.map { HalfPrecision.decode($0) })))
  }

  /// The same elements without factors, where every group's channels share one and entries are half precision.
  package var folded: PalettizedTensor {
    let size = layout.channels / layout.groups
    guard let scale, entries.quantized == nil,
      scale.indices.allSatisfy({ scale[$0] == scale[$0 / size * size] })
    else { return self }
    let pitch = entries.codes.count / layout.groups
    let codes = entries.values.enumerated().map { place, entry in
      HalfPrecision.encode(entry * HalfPrecision.decode(scale[place / pitch * size]))
    }
    return PalettizedTensor(
      layout: layout, bits: bits, entries: StoredEntries(codes: codes), indices: indices)
  }

  /// The entries in 32 bits without the zeros that fill up a table of few distinct weights. `[groups, entries, vector]`
  package var namedEntries: [Float] {
    let pitch = entries.codes.count / layout.groups
    let arranged = layout.arrangement.arranged(indices)
    let groups = (0..<layout.groups).map { group in
      let most = arranged[layout.indexRange(group)].max() ?? 0
      let own = Array(entries.values[group * pitch..<(group + 1) * pitch])
      let filled = own.suffix(from: (Int(most) + 1) * layout.vector)
      return filled.allSatisfy { $0 == 0 } ? Array(own.prefix((Int(most) + 1) * layout.vector)) : own
    }
    return PaletteElements.joined(groups)
  }

  /// Bits that indices, entries and scales take when stored.
  package var storedBits: Int {
    let numbers = entries.quantized.map { $0.values.count * 8 + $0.steps.count * 16 } ?? entries.codes.count * 16
    return indices.count * bits + numbers + (scale?.count ?? 0) * 16
  }

  /// The share of elements whose index differs.
  package static func flipRate(_ a: [UInt8], _ b: [UInt8]) -> Double {
    precondition(a.count == b.count && !a.isEmpty, "flipRate: \(a.count) and \(b.count) indices")
    var flips = 0
    for index in a.indices where a[index] != b[index] { flips += 1 }
    return Double(flips) / Double(a.count)
  }
}
