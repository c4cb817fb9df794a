internal import Foundation

/// Large blocks side by side in one range of addresses.
///
/// Each takes the first gap that holds it, from the low end, whatever sizes lay there before: fresh pages cost as much as
/// the arithmetic on them, so the same ones are used again and again. Gaps keep their pages until ``release(to:)``, which
/// begins at the high end. Memory is on huge pages where the system has them.
struct Arena {
  /// Blocks are multiples of this many bytes.
  static let unit = 16 << 10
  private static let page = 2 << 20
  /// Bytes that become readable at a time.
  private static let growth = 256 << 20

  private let base: UnsafeMutableRawPointer
  private let capacity: Int
  /// Bytes from the base that have ever been in a block, and that may be.
  private var end = 0
  private var open = 0
  /// Ascending, none next to another, all below `end`.
  private var gaps: [Range<Int>] = []
  /// Of each page below `end`: whether it may hold memory.
  private var isResident: [Bool] = []
  /// Bytes of pages that hold memory and belong to gaps.
  private(set) var idleBytes = 0

  /// Reserves addresses, not memory; nil where the system has none left.
  init?() {
    var capacity = 1 << 40
    while true {
      let reserved = mmap(nil, capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
      if let reserved, reserved != MAP_FAILED {
        let start = (Int(bitPattern: reserved) + Self.page - 1) & -Self.page
        guard let base = UnsafeMutableRawPointer(bitPattern: start) else { return nil }
        self.base = base
        self.capacity = capacity - Self.page
        return
      }
      capacity /= 2
      if capacity < Self.growth { return nil }
    }
  }

  /// - Parameter bytes: a multiple of ``unit``.
  mutating func take(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let start: Int
    if let index = gaps.firstIndex(where: { $0.count >= bytes }) {
      let gap = gaps[index]
      start = gap.lowerBound
      let rest = start + bytes..<gap.upperBound
      idleBytes += resident(rest) - resident(gap)
      if rest.isEmpty { gaps.remove(at: index) } else { gaps[index] = rest }
    } else {
      let last = gaps.last.flatMap { $0.upperBound == end ? $0 : nil }
      start = last?.lowerBound ?? end
      guard makeReadable(start + bytes) else { return nil }
      if let last {
        idleBytes -= resident(last)
        gaps.removeLast()
      }
      end = start + bytes
    }
    let pages = start / Self.page..<(start + bytes + Self.page - 1) / Self.page
    while isResident.count < pages.upperBound { isResident.append(false) }
    for page in pages { isResident[page] = true }
    return base + start
  }

  mutating func give(_ pointer: UnsafeMutableRawPointer, bytes: Int) {
    var gap = pointer - base..<pointer - base + bytes
    var index = gaps.countStarting(below: gap.lowerBound)
    if index < gaps.count, gaps[index].lowerBound == gap.upperBound {
      idleBytes -= resident(gaps[index])
      gap = gap.lowerBound..<gaps.remove(at: index).upperBound
    }
    if index > 0, gaps[index - 1].upperBound == gap.lowerBound {
      index -= 1
      idleBytes -= resident(gaps[index])
      gap = gaps.remove(at: index).lowerBound..<gap.upperBound
    }
    gaps.insert(gap, at: index)
    idleBytes += resident(gap)
  }

  /// Gives pages of gaps back to the system until no more than `limit` bytes of them are left.
  mutating func release(to limit: Int) {
    for gap in gaps.reversed() {
      let pages = whole(gap)
      var first = pages.upperBound
      while idleBytes > limit, first > pages.lowerBound {
        first -= 1
        guard isResident[first] else { continue }
        isResident[first] = false
        idleBytes -= Self.page
      }
      // One call for all of them: those between that held nothing lose nothing.
      if first < pages.upperBound {
        madvise(base + first * Self.page, (pages.upperBound - first) * Self.page, MADV_DONTNEED)
      }
      if idleBytes <= limit { return }
    }
  }

  /// Pages that lie in a range as wholes.
  private func whole(_ range: Range<Int>) -> Range<Int> {
    let first = (range.lowerBound + Self.page - 1) / Self.page
    return first..<max(first, range.upperBound / Self.page)
  }

  private func resident(_ range: Range<Int>) -> Int {
    whole(range).reduce(0) { $0 + (isResident[$1] ? Self.page : 0) }
  }

  private mutating func makeReadable(_ bytes: Int) -> Bool {
    while open < bytes {
      let length = min(Self.growth, capacity - open)
      guard length > 0, mprotect(base + open, length, PROT_READ | PROT_WRITE) == 0 else { return false }
      madvise(base + open, length, MADV_HUGEPAGE)
      open += length
    }
    return true
  }
}

extension [Range<Int>] {
  /// How many of them, ascending, begin below a bound.
  fileprivate func countStarting(below bound: Int) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle].lowerBound < bound { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
