internal import Kernels

/// Palette entries as they are stored: binary16, or whole numbers times a binary16 step for each group.
package struct StoredEntries: Sendable, Equatable {
  /// What the entries decode to, as binary16 codes. `[groups, entries, vector]`
  package let codes: [UInt16]
  /// Where the entries are stored in 8 bits: the whole numbers, and each group's step as a binary16 code.
  package let quantized: Quantized?

  package struct Quantized: Sendable, Equatable {
    /// `[groups, entries, vector]`
    package let values: [Int8]
    /// `[groups]`
    package let steps: [UInt16]

    package init(values: [Int8], steps: [UInt16]) {
      self.values = values
      self.steps = steps
    }
  }

  package init(codes: [UInt16]) {
    self.codes = codes
    quantized = nil
  }

  package init(_ quantized: Quantized) {
    let size = quantized.values.count / max(1, quantized.steps.count)
    codes = quantized.values.indices.map { index in
      HalfPrecision.encode(
        Float(quantized.values[index]) * HalfPrecision.decode(quantized.steps[index / size]))
    }
    self.quantized = quantized
  }

  /// Trained entries, rounded.
  ///
  /// - Parameter table: `[groups, entries, vector]`
  package init(rounding table: [Float], _ form: PaletteForm, groups: Int = 1) {
    let size = table.count / groups
    let table = form.enforcesZero ? Self.pinned(table, groups: groups, vector: form.vector) : table
    switch form.entries {
    case .half: self.init(codes: table.map { HalfPrecision.encode($0) })
    case .int8:
      let steps = (0..<groups).map { group in
        let peak = table[group * size..<(group + 1) * size].reduce(0) { max($0, abs($1)) }
        // At least the smallest normal number, so that every multiple of it is exact.
        return HalfPrecision.encode(max(peak / 127, 0x1p-14))
      }
      let values = table.indices.map { index in
        let step = HalfPrecision.decode(steps[index / size])
        return Int8(max(-127, min(127, (table[index] / step).rounded(.toNearestOrEven))))
      }
      self.init(Quantized(values: values, steps: steps))
    }
  }

  /// The entries with each group's nearest to zero at zero.
  package static func pinned(_ table: [Float], groups: Int, vector: Int) -> [Float] {
    var table = table
    let size = table.count / groups
    for group in 0..<groups {
      let starts = stride(from: group * size, to: (group + 1) * size, by: vector)
      func length(_ start: Int) -> Float {
        table[start..<start + vector].reduce(0) { $0 + $1 * $1 }
      }
      guard let nearest = starts.min(by: { length($0) < length($1) }) else { continue }
      for index in nearest..<nearest + vector { table[index] = 0 }
    }
    return table
  }

  /// The entries in 32 bits, exactly.
  package var values: [Float] { codes.map { HalfPrecision.decode($0) } }

  /// Those of each group at the given places, with zeros behind them up to `size` numbers a group.
  ///
  /// - Parameter places: for each group, indices of numbers in the group.
  func selecting(_ places: [[Int]], size: Int) -> StoredEntries {
    let pitch = codes.count / places.count
    func selected<Number: ExpressibleByIntegerLiteral>(_ numbers: [Number]) -> [Number] {
      places.enumerated().flatMap { group, chosen in
        chosen.map { numbers[group * pitch + $0] }
          + [Number](repeating: 0, count: size - chosen.count)
      }
    }
    guard let quantized else { return StoredEntries(codes: selected(codes)) }
    return StoredEntries(Quantized(values: selected(quantized.values), steps: quantized.steps))
  }

  /// With zeros behind each group's up to `size` numbers.
  func padded(groups: Int, to size: Int) -> StoredEntries {
    let pitch = codes.count / groups
    return selecting([[Int]](repeating: Array(0..<pitch), count: groups), size: size)
  }
}
