internal import Synchronization

/// Adds up what palettes take in a step: their preparation, the weights they make, their gradients and their entries for
/// the next step.
final class PaletteTime: Sendable {
  private let total = Mutex(Duration.zero)

  var seconds: Double { total.withLock { $0.seconds } }

  /// Counts the time of some work, one of several threads' part of it.
  func counting<Result>(threads: Int = 1, _ work: () throws -> Result) rethrows -> Result {
    let started = ContinuousClock.now
    defer { add((ContinuousClock.now - started) / threads) }
    return try work()
  }

  /// Adds time that was counted elsewhere.
  func add(_ duration: Duration) { total.withLock { $0 += duration } }
}
