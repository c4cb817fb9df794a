internal import CKernels

/// An array with a channel axis, `[outer, channels, inner]`, cut into blocks of neighbouring channels.
///
/// Arranged, it is `[channels / block, outer, inner, block]`: what one palette serves is contiguous, and so are the
/// numbers of one vector.
package struct ChannelArrangement: Sendable, Equatable {
  package let outer: Int
  package let channels: Int
  package let inner: Int
  /// Channels in a block.
  package let block: Int

  package init(outer: Int, channels: Int, inner: Int, block: Int) {
    precondition(block > 0 && channels % block == 0, "\(channels) channels in blocks of \(block)")
    self.outer = outer
    self.channels = channels
    self.inner = inner
    self.block = block
  }

  package var count: Int { outer * channels * inner }
  /// Whether the arranged order is that of the array.
  package var isIdentity: Bool { block == 1 && outer == 1 }

  /// The arranged elements, each times its channel's factor; the array itself where nothing changes.
  package func arranged(_ x: Buffer, factors: Buffer? = nil) -> Buffer {
    moved(x, factors: factors) { ($0, $1) }
  }

  /// The elements in the order of the array, each times its channel's factor; as given where nothing changes.
  package func restored(_ y: Buffer, factors: Buffer? = nil) -> Buffer {
    moved(y, factors: factors) { ($1, $0) }
  }

  /// - Parameter places: of source and target, from those of the array and the arrangement.
  private func moved(
    _ source: Buffer, factors: Buffer?, _ places: @Sendable (Int, Int) -> (from: Int, to: Int)
  ) -> Buffer {
    precondition(
      source.count == count && factors?.count ?? channels == channels, "arrangement of \(source.count)")
    if isIdentity, factors == nil { return source }
    let target = Buffer(uninitialized: count)
    let (from, to) = (source.pointer, target.pointer)
    withExtendedLifetime((source, target, factors)) {
      nonisolated(unsafe) let (from, to, factors) = (from, to, factors?.pointer)
      Parallel.forEach(channels / block) { index in
        for element in 0..<block {
          let channel = index * block + element
          let factor = factors?[channel] ?? 1
          for row in 0..<outer {
            let array = (row * channels + channel) * inner
            let arrangement = (index * outer + row) * inner * block + element
            for column in 0..<inner {
              let place = places(array + column, arrangement + column * block)
              to[place.to] = from[place.from] * factor
            }
          }
        }
      }
    }
    return target
  }

  /// One number for each vector, from the arranged order to that of an array `[outer, channels / block, inner]`.
  package func restored(_ indices: [UInt8]) -> [UInt8] { moved(indices, rows: channels / block, of: outer) }

  /// The way back of ``restored(_:)-([UInt8])``.
  package func arranged(_ indices: [UInt8]) -> [UInt8] { moved(indices, rows: outer, of: channels / block) }

  /// Runs of `inner` numbers from `[rows, columns]` to `[columns, rows]`.
  private func moved(_ indices: [UInt8], rows: Int, of columns: Int) -> [UInt8] {
    guard outer > 1 else { return indices }
    var y = [UInt8](repeating: 0, count: indices.count)
    for row in 0..<rows {
      for column in 0..<columns {
        let (from, to) = ((row * columns + column) * inner, (column * rows + row) * inner)
        for element in 0..<inner { y[to + element] = indices[from + element] }
      }
    }
    return y
  }

  /// For each channel the sum of `x · y` over its elements, both in the order of the array. `[channels]`
  package func channelSums(_ x: Buffer, _ y: Buffer) -> Buffer {
    precondition(x.count == count && y.count == count, "channel sums of \(x.count)")
    let sums = Buffer(uninitialized: channels)
    Parallel.forEach(channels) { channel in
      var sum = 0.0
      for row in 0..<outer {
        let start = (row * channels + channel) * inner
        for at in start..<start + inner { sum += Double(x.pointer[at]) * Double(y.pointer[at]) }
      }
      sums.pointer[channel] = Float(sum)
    }
    return sums
  }
}
