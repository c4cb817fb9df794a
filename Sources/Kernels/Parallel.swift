internal import CKernels
internal import Dispatch
internal import Foundation
internal import Synchronization

/// Splits loops over the machine's cores.
///
/// The split never changes a result: each index is computed whole by one thread, and reductions are split into a fixed
/// number of parts that are summed in order. A parallel loop inside another one runs in line.
package enum Parallel {
  /// Threads in use: `SDTUNE_THREADS`, or one for each processor, shared with other processes of the same `mpirun`.
  package static let threads: Int = {
    let environment = ProcessInfo.processInfo.environment
    if let asked = environment["SDTUNE_THREADS"].flatMap({ Int($0) }) { return max(1, asked) }
    return max(1, ProcessInfo.processInfo.activeProcessorCount / neighbours)
  }()

  /// Processes of the same `mpirun` on this machine, this one included.
  package static let neighbours = max(
    1, ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_LOCAL_SIZE"].flatMap { Int($0) } ?? 1)

  /// Calls `body` for every index below `count`, some at the same time.
  package static func forEach(_ count: Int, _ body: @Sendable (Int) -> Void) {
    guard count > 1, threads > 1, sd_enter_region() else {
      for index in 0..<max(0, count) { body(index) }
      return
    }
    sd_leave_region()
    // The system would take all its cores.
    let next = Atomic(0)
    DispatchQueue.concurrentPerform(iterations: min(count, threads)) { _ in
      let entered = sd_enter_region()
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < count else { break }
        body(index)
      }
      if entered { sd_leave_region() }
    }
  }

  /// Cuts `0..<count` into one contiguous range a thread, none shorter than `grain` unless there is only one.
  ///
  /// - Parameter multiple: every range but the last is a multiple of this long.
  package static func ranges(
    _ count: Int, grain: Int = 1, multiple: Int = 1, _ body: @Sendable (Range<Int>) -> Void
  ) {
    guard count > 0 else { return }
    let parts = max(1, min(threads, count / max(1, grain)))
    let length = ((count + parts - 1) / parts + multiple - 1) / multiple * multiple
    forEach((count + length - 1) / length) { part in
      body(part * length..<min(count, (part + 1) * length))
    }
  }
}

extension Parallel {
  /// The results of `body` for every index below `count`, in order, some computed at the same time.
  package static func map<Result: Sendable>(
    _ count: Int, _ body: @Sendable (Int) -> Result
  ) -> [Result] {
    [Result](unsafeUninitializedCapacity: count) { results, initialized in
      nonisolated(unsafe) let base = results.baseAddress
      forEach(count) { index in
        guard let base else { return }
        (base + index).initialize(to: body(index))
      }
      initialized = count
    }
  }
}

extension Range<Int> {
  /// Ranges of a length, one behind the other; the last may be shorter.
  package func cut(length: Int) -> [Range<Int>] {
    stride(from: lowerBound, to: upperBound, by: length).map { $0..<Swift.min(upperBound, $0 + length) }
  }

  /// Ranges of a multiple's length, and no longer than `most` unless the multiple is.
  func cut(most: Int, multiple: Int) -> [Range<Int>] {
    cut(length: Swift.max(multiple, most / multiple * multiple))
  }
}
