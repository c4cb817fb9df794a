/// Weights as entries of a small table.
package enum PaletteEntries {
  /// `y_i = table[index_i]`.
  package static func gather(_ table: Buffer, _ indices: [UInt8]) -> Buffer {
    let y = Buffer(uninitialized: indices.count)
    let entries = table.count
    indices.withUnsafeBufferPointer { indices in
      nonisolated(unsafe) let indices = indices
      Parallel.ranges(indices.count, grain: Elementwise.grain) { range in
        for i in range {
          precondition(Int(indices[i]) < entries, "palette: entry \(indices[i]) of \(entries)")
          y.pointer[i] = table.pointer[Int(indices[i])]
        }
      }
    }
    return y
  }

  /// `dtable_j = Σ_{i: index_i = j} dy_i`, summed in double precision.
  package static func gradient(_ dy: Buffer, _ indices: [UInt8], entries: Int) -> Buffer {
    precondition(dy.count == indices.count, "palette: \(dy.count) gradients, \(indices.count)")
    let sums = Buffer64(count: 256)
    for i in indices.indices { sums.pointer[Int(indices[i])] += Double(dy.pointer[i]) }
    return Rows.total(sums, parts: 1, stride: 256, offset: 0, count: entries)
  }
}
