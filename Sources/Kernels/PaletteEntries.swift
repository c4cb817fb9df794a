internal import CKernels

/// Weights as entries of small tables, in the order in which those of a table are neighbours.
package enum PaletteEntries {
  /// `y[v · vector + e] = table[group of v][index_v][e]`
  ///
  /// - Parameters:
  ///   - table: `[groups, entries, vector]`
  ///   - indices: an equal number for each group.
  package static func gather(
    _ table: Buffer, _ indices: [UInt8], groups: Int = 1, vector: Int = 1
  ) -> Buffer {
    check(indices.count, groups)
    let y = Buffer(uninitialized: indices.count * vector)
    let pitch = table.count / groups
    let entries = pitch / vector
    let length = indices.count / groups
    indices.withUnsafeBufferPointer { indices in
      nonisolated(unsafe) let indices = indices
      Parallel.ranges(indices.count, grain: Elementwise.grain) { range in
        for i in range {
          precondition(Int(indices[i]) < entries, "palette: entry \(indices[i]) of \(entries)")
          let entry = i / length * pitch + Int(indices[i]) * vector
          for e in 0..<vector { y.pointer[i * vector + e] = table.pointer[entry + e] }
        }
      }
    }
    return y
  }

  /// For each number of the table the sum of `dy` where it was used, added in double precision.
  ///
  /// - Parameter entries: of one group.
  package static func gradient(
    _ dy: Buffer, _ indices: [UInt8], entries: Int, groups: Int = 1, vector: Int = 1
  ) -> Buffer {
    check(indices.count, groups)
    precondition(dy.count == indices.count * vector, "palette: \(dy.count) gradients, \(indices.count)")
    let pitch = entries * vector
    let length = indices.count / groups
    let gradient = Buffer(uninitialized: groups * pitch)
    Parallel.forEach(groups) { group in
      var sums = [Double](repeating: 0, count: pitch)
      for i in group * length..<(group + 1) * length {
        let entry = Int(indices[i]) * vector
        for e in 0..<vector { sums[entry + e] += Double(dy.pointer[i * vector + e]) }
      }
      for (at, sum) in sums.enumerated() { gradient.pointer[group * pitch + at] = Float(sum) }
    }
    return gradient
  }

  /// The nearest entry of each vector; of equally near ones, the first.
  ///
  /// - Parameter table: `[groups, entries, vector]`
  package static func nearest(
    _ elements: Buffer, _ table: [Float], groups: Int, vector: Int
  ) -> [UInt8] {
    let vectors = elements.count / vector
    check(vectors, groups)
    let pitch = table.count / groups
    precondition(
      (1...8).contains(vector) && (1...256).contains(pitch / vector), "palette: \(pitch) numbers")
    let length = vectors / groups
    return [UInt8](unsafeUninitializedCapacity: vectors) { indices, count in
      nonisolated(unsafe) let base = indices.baseAddress
      Parallel.forEach(groups) { group in
        let first = group * length
        table.withUnsafeBufferPointer { table in
          guard let table = table.baseAddress, let base else { return }
          nonisolated(unsafe) let (entries, nearest) = (table + group * pitch, base + first)
          Parallel.ranges(length, grain: 4096) { part in
            sd_nearest_vectors(
              elements.pointer + (first + part.lowerBound) * vector, part.count, entries,
              Int32(pitch / vector), Int32(vector), nearest + part.lowerBound)
          }
        }
      }
      count = vectors
    }
  }

  private static func check(_ indices: Int, _ groups: Int) {
    precondition(groups > 0 && indices % groups == 0, "palette: \(indices) indices of \(groups) groups")
  }
}
