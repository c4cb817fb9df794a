internal import Foundation
internal import Synchronization

/// A command that asks ``Interruption/isRequested`` while it works; others end at once.
protocol InterruptibleCommand {}

/// Ctrl-C and a polite kill: the first asks the run to stop after its step, the second stops it at once.
enum Interruption {
  fileprivate static let requested = Atomic<Bool>(false)

  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  static func install() {
    // Who starts us from a thread that takes no signals hands that down.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] {
      signal(number, handleInterruption)
      sigaddset(&signals, number)
    }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}

private func handleInterruption(_ number: Int32) {
  if Interruption.requested.exchange(true, ordering: .relaxed) { _exit(128 + number) }
}
