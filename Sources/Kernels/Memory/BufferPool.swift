internal import Foundation

/// The memory of buffers.
///
/// Large blocks share an ``Arena``; small ones are kept by size for the next buffer of about that size. Idle ones included,
/// large blocks hardly exceed the most that was ever in use at once: freed pages are kept for the next pass.
package enum BufferPool {
  private struct State {
    var arena = Arena()
    /// Small blocks by size; the latest last.
    var small: [Int: [UnsafeMutableRawPointer]] = [:]
    var smallBytes = 0
    /// Of large blocks: now, and at most.
    var usedBytes = 0, peakBytes = 0

    mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
      if size >= BufferPool.largeSize {
        let block = arena?.take(size)
        usedBytes += size
        peakBytes = max(peakBytes, usedBytes)
        releaseExcess()
        return block
      }
      guard let block = small[size]?.popLast() else { return aligned_alloc(64, size) }
      smallBytes -= size
      return block
    }

    mutating func give(_ block: Block) {
      if block.bytes >= BufferPool.largeSize {
        usedBytes -= block.bytes
        arena?.give(block.pointer, bytes: block.bytes)
        releaseExcess()
      } else if smallBytes + block.bytes > BufferPool.smallIdle {
        free(block.pointer)
      } else {
        small[block.bytes, default: []].append(block.pointer)
        smallBytes += block.bytes
      }
    }

    /// Gives back what lies idle and is, together with what is in use, more than was ever in use.
    private mutating func releaseExcess() {
      arena?.release(to: peakBytes + peakBytes / 256 + BufferPool.slack - usedBytes)
    }

    mutating func releaseIdle() {
      arena?.release(to: 0)
      for pointer in small.values.joined() { free(pointer) }
      small = [:]
      smallBytes = 0
    }
  }

  /// `SDTUNE_POISON=1` fills blocks with NaN as they come back, so that no read of one goes unseen.
  static let poisons = ProcessInfo.processInfo.environment["SDTUNE_POISON"] == "1"

  /// Bytes that may lie idle at the peak, beside a small share of it.
  private static let slack = 4 << 20
  /// Bytes of small blocks that may lie idle.
  private static let smallIdle = 48 << 20
  /// Blocks from this size on are large.
  private static let largeSize = 128 << 10
  private static let lock = NSLock()
  nonisolated(unsafe) private static var state = State()

  /// Small sizes are multiples of 64 bytes, the cache line and the widest vector, and only eight to each power of two, so
  /// that blocks fit again.
  private static func bytes(_ count: Int) -> Int {
    let size = max(64, count * 4)
    let step = size >= largeSize ? Arena.unit : max(64, 1 << (Int.bitWidth - 1 - size.leadingZeroBitCount - 3))
    return (size + step - 1) / step * step
  }

  /// Memory of a buffer, which may have more bytes than were asked for.
  struct Block {
    let pointer: UnsafeMutablePointer<Float>
    let bytes: Int
  }

  static func take(_ count: Int) -> Block {
    let size = bytes(count)
    guard let raw = lock.withLock({ state.take(size) }) else {
      fatalError("out of memory: \(size) bytes for a buffer of \(count) floats")
    }
    return Block(pointer: raw.bindMemory(to: Float.self, capacity: size / 4), bytes: size)
  }

  static func give(_ block: Block) { lock.withLock { state.give(block) } }

  /// Gives everything that lies idle back to the system: for jobs that ask for ever other sizes.
  package static func releaseIdle() { lock.withLock { state.releaseIdle() } }
}
