internal import Files
internal import Foundation
internal import Synchronization

/// A command that asks ``Interruption/isRequested`` while it works, to end with a checkpoint or a line of its own.
protocol InterruptibleCommand {}

/// Ctrl-C, a polite kill, a terminal that closes: the first asks the command to end, the second ends it at once.
///
/// A run ends with a checkpoint after its step; others end as soon as no output is half written.
enum Interruption {
  /// The exit status of what stopped as it was asked to.
  static let status: Int32 = 130

  fileprivate static let requested = Atomic<Bool>(false)
  fileprivate static let isCooperative = Atomic<Bool>(false)
  fileprivate static let wantsCheckpoint = Atomic<Bool>(false)

  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// - Parameter isCooperative: whether the command asks by itself.
  static func install(isCooperative: Bool) {
    self.isCooperative.store(isCooperative, ordering: .relaxed)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let earlier = signal(number, handleInterruption)
      // Who starts a command with nohup means it; C's SIG_IGN is the number 1.
      if number == SIGHUP, unsafeBitCast(earlier, to: Int.self) == 1 {
        signal(number, SIG_IGN)
      } else {
        unblock(number)
      }
    }
  }

  /// Lets a signal ask for a checkpoint.
  static func takeCheckpoints(on number: Int32) {
    signal(number) { _ in Interruption.wantsCheckpoint.store(true, ordering: .relaxed) }
    unblock(number)
  }

  /// Whether a checkpoint was asked for since this was read last.
  static func takeCheckpointRequest() -> Bool { wantsCheckpoint.exchange(false, ordering: .relaxed) }

  /// Who starts us from a thread that takes no signals hands that down.
  private static func unblock(_ number: Int32) {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, number)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}

private func handleInterruption(_ number: Int32) {
  if Interruption.requested.exchange(true, ordering: .relaxed) { _exit(Interruption.status) }
  guard !Interruption.isCooperative.load(ordering: .relaxed), !OutputsInProgress.cancel() else { return }
  let line: StaticString = "error: interrupted\n"
  write(STDERR_FILENO, line.utf8Start, line.utf8CodeUnitCount)
  _exit(Interruption.status)
}
