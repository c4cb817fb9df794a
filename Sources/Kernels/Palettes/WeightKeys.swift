internal import CKernels

/// Weights seen through 16-bit keys that ascend with the value: `scale · weight`, rounded.
///
/// Everything per weight in clustering is a look-up by key. Keys are recomputed from the weights in
/// each pass, which costs less than the memory to keep them.
package struct WeightKeys: Sendable {
  package static let count = 65_536

  package enum Rounding: Sendable {
    /// To half precision: close together where weights are small.
    case half
    /// To integers below 32,767: equally far apart.
    case integer
  }

  package let weights: Buffer
  /// The part of the buffer in use.
  package let range: Range<Int>
  /// Power of two that weights are multiplied with before rounding.
  package let scale: Float
  package let rounding: Rounding

  package init(_ weights: Buffer, range: Range<Int>? = nil, scale: Float = 1, rounding: Rounding = .half) {
    let range = range ?? 0..<weights.count
    precondition(
      range.lowerBound >= 0 && range.upperBound <= weights.count,
      "WeightKeys: \(range) of \(weights.count) weights")
    precondition(
      scale > 0 && scale.isNormal && scale.significand == 1,
      "WeightKeys: scale \(scale) is no power of two")
    self.weights = weights
    self.range = range
    self.scale = scale
    self.rounding = rounding
  }

  var kernel: sd_rounding { sd_rounding(scale: scale, integers: rounding == .integer) }

  /// Of values with masses: the sum of the masses, the mean and the population variance.
  package static func moments(
    _ values: [Double], _ masses: [Double]
  ) -> (total: Double, mean: Double, variance: Double) {
    precondition(values.count == masses.count, "moments: \(values.count) values, \(masses.count) masses")
    var (total, mean, variance) = (0.0, 0.0, 0.0)
    sd_weighted_moments(values, masses, values.count, &total, &mean, &variance)
    return (total, mean, variance)
  }

  /// The values that keys stand for, in units of the weights.
  package func values(_ keys: [UInt16]) -> [Double] {
    [Double](unsafeUninitializedCapacity: keys.count) { values, count in
      count = keys.count
      if let base = values.baseAddress { sd_key_values(keys, kernel, base, count) }
    }
  }

  /// Whether the key stands for a number, and not for all that its rounding cannot tell.
  package func isNumber(_ key: UInt16) -> Bool {
    switch rounding {
    case .half: (key >= 0x8000 ? key ^ 0x8000 : ~key) & 0x7C00 != 0x7C00
    case .integer: key != 0 && key != .max
    }
  }

  /// Weights in one part of a reduction; few, because each part has its own 65,536 sums.
  private static let part = 1 << 20

  private var parts: [Range<Int>] {
    let count = min(8, max(1, range.count / Self.part))
    return (0..<count).map { index in
      range.lowerBound + range.count * index / count..<range.lowerBound + range.count * (index + 1) / count
    }
  }

  /// The keys that weights have, ascending, and how many have each.
  package func occupied() -> (keys: [UInt16], counts: [UInt32]) {
    range.count < Self.count ? occupiedByFew() : occupiedByMany()
  }

  /// With no more work than there are weights.
  private func occupiedByFew() -> (keys: [UInt16], counts: [UInt32]) {
    var counts: [UInt32] = []
    let keys = [UInt16](unsafeUninitializedCapacity: range.count) { keys, found in
      counts = [UInt32](unsafeUninitializedCapacity: range.count) { counts, filled in
        if let keys = keys.baseAddress, let counts = counts.baseAddress {
          found = sd_distinct_keys(weights.pointer + range.lowerBound, kernel, keys, counts, range.count)
        }
        filled = found
      }
    }
    return (keys, counts)
  }

  private func occupiedByMany() -> (keys: [UInt16], counts: [UInt32]) {
    let parts = parts
    // Two 32-bit counters fit where a double does; the pool's blocks are reused from call to call.
    let tables = parts.map { _ in Buffer(uninitialized: Self.count) }
    Parallel.forEach(parts.count) { index in
      let (table, part) = (tables[index], parts[index])
      table.pointer.withMemoryRebound(to: UInt32.self, capacity: Self.count) { counts in
        counts.update(repeating: 0, count: Self.count)
        sd_count_keys(weights.pointer + part.lowerBound, kernel, counts, part.count)
      }
    }
    let total = tables[0]
    return total.pointer.withMemoryRebound(to: UInt32.self, capacity: Self.count) { total in
      for table in tables.dropFirst() {
        table.pointer.withMemoryRebound(to: UInt32.self, capacity: Self.count) { counts in
          for key in 0..<Self.count { total[key] += counts[key] }
        }
      }
      let keys = [UInt16](unsafeUninitializedCapacity: min(Self.count, range.count)) { keys, count in
        count = keys.baseAddress.map { sd_occupied_keys(total, $0) } ?? 0
      }
      return (keys, keys.map { total[Int($0)] })
    }
  }

  /// `y[i] = values[row]` for the row of `keys` that weight `i` has.
  package func gather(_ values: [Double], keys: [UInt16], into y: Buffer) {
    precondition(y.count == weights.count, "gather: \(y.count) of \(weights.count) weights")
    let table = table(values, keys)
    eachRange { part in
      gather(.init(first: part.lowerBound, columns: part.count), table, into: y, at: part.lowerBound)
    }
  }

  /// What ``gather(_:keys:into:)`` writes, a part of all weights at a time.
  package func elements(_ values: [Double], keys: [UInt16]) -> WeightElements {
    precondition(range == 0..<weights.count, "elements: \(range) of \(weights.count) weights")
    let table = table(values, keys)
    return WeightElements(count: weights.count) { part, y, offset in gather(part, table, into: y, at: offset) }
  }

  /// `[65,536]`; only what weights have is set.
  private func table(_ values: [Double], _ keys: [UInt16]) -> Buffer {
    precondition(values.count == keys.count, "gather: \(values.count) values, \(keys.count) keys")
    let table = Buffer(uninitialized: Self.count)
    for row in keys.indices { table.pointer[Int(keys[row])] = Float(values[row]) }
    return table
  }

  private func gather(_ part: WeightElements.Part, _ table: Buffer, into y: Buffer, at offset: Int) {
    sd_gather_by_key(
      weights.pointer + part.first, part.pitch, kernel, table.pointer, y.pointer + offset, part.rows, part.columns)
  }

  /// The byte of every weight in `range`.
  package func gather(_ bytes: [UInt8], keys: [UInt16]) -> [UInt8] {
    precondition(bytes.count == keys.count, "gather: \(bytes.count) bytes, \(keys.count) keys")
    var table = [UInt8](repeating: 0, count: Self.count)
    for row in keys.indices { table[Int(keys[row])] = bytes[row] }
    return [UInt8](unsafeUninitializedCapacity: range.count) { y, count in
      nonisolated(unsafe) let y = y.baseAddress!
      let table = table
      eachRange { part in
        sd_gather_bytes_by_key(
          weights.pointer + part.lowerBound, kernel, table, y + (part.lowerBound - range.lowerBound),
          part.count)
      }
      count = range.count
    }
  }

  /// The sum of `dy` over the weights of each row: a part's in single precision, whose table is half as
  /// large, and theirs in double.
  package func scatter(_ dy: Buffer, keys: [UInt16]) -> [Double] {
    precondition(dy.count == weights.count, "scatter: \(dy.count) of \(weights.count) weights")
    let parts = parts
    let tables = parts.map { _ in Buffer(uninitialized: Self.count) }
    Parallel.forEach(parts.count) { index in
      let (table, part) = (tables[index], parts[index])
      for key in keys { table.pointer[Int(key)] = 0 }
      sd_scatter_by_key(
        weights.pointer + part.lowerBound, kernel, dy.pointer + part.lowerBound, table.pointer, part.count)
    }
    var totals = [Double](repeating: 0, count: keys.count)
    for table in tables {
      for row in keys.indices { totals[row] += Double(table.pointer[Int(keys[row])]) }
    }
    return totals
  }

  /// `dx[i] = gain[row] · dy[i] + shared[row]`.
  package func affine(gain: [Double], shared: [Double], keys: [UInt16], dy: Buffer) -> KeyedAffine {
    precondition(gain.count == keys.count && shared.count == keys.count, "affine: rows differ")
    precondition(dy.count == weights.count, "affine: \(dy.count) of \(weights.count) weights")
    let pairs = Buffer(uninitialized: 2 * Self.count)
    for row in keys.indices {
      pairs.pointer[2 * Int(keys[row])] = Float(gain[row])
      pairs.pointer[2 * Int(keys[row]) + 1] = Float(shared[row])
    }
    return KeyedAffine(keys: self, pairs: pairs, dy: dy)
  }

  /// Of the weights themselves, before any rounding.
  package func magnitudes() -> (rootMeanSquare: Double, largest: Double) {
    var squares = 0.0
    var largest: Float = 0
    for index in range {
      let weight = weights.pointer[index]
      squares += Double(weight) * Double(weight)
      largest = max(largest, abs(weight))
    }
    return ((squares / Double(max(1, range.count))).squareRoot(), Double(largest))
  }

  func eachRange(_ body: @Sendable (Range<Int>) -> Void) {
    Parallel.ranges(range.count, grain: 1 << 18, multiple: 16) { part in
      body(range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound)
    }
  }
}
