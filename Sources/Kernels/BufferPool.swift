internal import Foundation

/// Keeps freed blocks by size for the next buffer of about that size.
///
/// What it holds is bounded by a share of what is in use: beyond that, the blocks that have been idle longest go back to
/// the system, so that the peak of a full-size step is what it needs and not what it once needed. Large blocks are pages
/// of their own, on huge pages where the system has them: fresh ones cost little, and freed ones leave no holes.
package enum BufferPool {
  private struct Idle {
    let pointer: UnsafeMutablePointer<Float>
    /// When it came back, in blocks freed since the start.
    let stamp: Int
  }

  private struct State {
    /// By size; the latest last.
    var idle: [Int: [Idle]] = [:]
    var heldBytes = 0
    var usedBytes = 0
    var stamp = 0

    /// Bytes that may lie idle.
    var limit: Int { max(BufferPool.leastIdle, usedBytes / 8) }

    /// Takes out the block of this size that came back last, or else of the next larger size up to half as much again:
    /// fresh pages cost more than idle ones at the end of a block.
    mutating func takeIdle(_ size: Int) -> Block? {
      var found = size
      if idle[size] == nil {
        guard size >= BufferPool.mappedSize, let larger = idle.keys.filter({ $0 > size && $0 <= size / 2 * 3 }).min()
        else { return nil }
        found = larger
      }
      guard let block = idle[found]?.popLast() else { return nil }
      if idle[found]?.isEmpty ?? false { idle[found] = nil }
      heldBytes -= found
      return Block(pointer: block.pointer, bytes: found)
    }

    /// Takes out the block that has been idle longest.
    mutating func removeOldest() -> Block? {
      guard let (size, blocks) = idle.min(by: { ($0.value.first?.stamp ?? .max) < ($1.value.first?.stamp ?? .max) }),
        let oldest = blocks.first
      else { return nil }
      if blocks.count == 1 { idle[size] = nil } else { idle[size]?.removeFirst() }
      heldBytes -= size
      return Block(pointer: oldest.pointer, bytes: size)
    }
  }

  /// `SDTUNE_POISON=1` fills blocks with NaN as they come back, so that no read of one goes unseen.
  static let poisons = ProcessInfo.processInfo.environment["SDTUNE_POISON"] == "1"

  /// Bytes that may lie idle however little is in use.
  private static let leastIdle = 192 << 20
  /// Blocks from this size on are mapped one by one.
  private static let mappedSize = 1 << 20
  private static let hugePage = 2 << 20
  private static let lock = NSLock()
  nonisolated(unsafe) private static var state = State()

  /// Sizes are multiples of 64 bytes, the cache line and the widest vector; of large ones only eight to each power of
  /// two exist, so that blocks fit again. What a block has too much is never touched and takes no memory.
  private static func bytes(_ count: Int) -> Int {
    let size = max(64, (count * 4 + 63) & ~63)
    guard size >= mappedSize else { return size }
    let step = 1 << (Int.bitWidth - 1 - size.leadingZeroBitCount - 3)
    return (size + step - 1) / step * step
  }

  /// Memory of a buffer, which may have more bytes than were asked for.
  struct Block {
    let pointer: UnsafeMutablePointer<Float>
    let bytes: Int
  }

  static func take(_ count: Int) -> Block {
    let size = bytes(count)
    let reused = lock.withLock { () -> Block? in
      let block = state.takeIdle(size)
      state.usedBytes += block?.bytes ?? size
      return block
    }
    if let reused { return reused }
    guard let raw = size < mappedSize ? aligned_alloc(64, size) : map(size) else {
      fatalError("out of memory: \(size) bytes for a buffer of \(count) floats")
    }
    return Block(pointer: raw.bindMemory(to: Float.self, capacity: size / 4), bytes: size)
  }

  static func give(_ block: Block) {
    let evicted = lock.withLock { () -> [Block] in
      state.usedBytes -= block.bytes
      state.stamp += 1
      state.idle[block.bytes, default: []].append(Idle(pointer: block.pointer, stamp: state.stamp))
      state.heldBytes += block.bytes
      var evicted: [Block] = []
      while state.heldBytes > state.limit, let oldest = state.removeOldest() { evicted.append(oldest) }
      return evicted
    }
    for block in evicted { release(block) }
  }

  /// Gives everything that lies idle back to the system: for jobs that ask for ever other sizes.
  package static func releaseIdle() {
    let evicted = lock.withLock { () -> [Block] in
      var evicted: [Block] = []
      while let oldest = state.removeOldest() { evicted.append(oldest) }
      return evicted
    }
    for block in evicted { release(block) }
  }

  private static func map(_ size: Int) -> UnsafeMutableRawPointer? {
    let mapped = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { return nil }
    if size >= 2 * hugePage { madvise(mapped, size, MADV_HUGEPAGE) }
    return mapped
  }

  private static func release(_ block: Block) {
    if block.bytes < mappedSize { free(block.pointer) } else { munmap(block.pointer, block.bytes) }
  }
}
