internal import Foundation
internal import Synchronization

/// A command that asks ``Interruption/isRequested`` while it works; others end at once.
protocol InterruptibleCommand {}

/// Ctrl-C and a polite kill: the first asks the run to stop after its step, the second stops it at once.
enum Interruption {
  fileprivate static let requested = Atomic<Bool>(false)

  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  static func install() {
    signal(SIGINT, handleInterruption)
    signal(SIGTERM, handleInterruption)
  }
}

private func handleInterruption(_ number: Int32) {
  if Interruption.requested.exchange(true, ordering: .relaxed) { _exit(128 + number) }
}
