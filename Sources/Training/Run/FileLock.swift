internal import Foundation
internal import Synchronization

/// A lock on a file that the system lets go of when the process ends, however it ends.
///
/// Folders that several hosts share may know no locks between hosts. So the file tells who has it, and is touched while
/// it is held: one that another host has not touched for a while belongs to nobody any more.
package final class FileLock: Sendable {
  private let descriptor: Int32
  private let heartbeat: Heartbeat

  /// Seconds between touches, and after how many a lock of another host is stale.
  private static let (beat, patience) = (20.0, 120.0)

  /// - Parameter busy: what to say when another process has it; who that is follows.
  package init(_ path: String, busy: String) throws(TrainingError) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .folder(path, reason: String(cString: strerror(errno))) }
    func refuse(_ reason: String) -> TrainingError {
      close(descriptor)
      return .busy(busy + reason)
    }
    let holder = Holder(descriptor)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw refuse(holder.map { " (\($0.text))" } ?? "") }
    if let holder, holder.host != Holder.thisHost {
      let age = Self.age(path)
      guard age > Self.patience else {
        throw refuse(" (\(holder.text), \(Int(age)) s ago; if it is gone, wait \(Int(Self.patience - age) + 1) s)")
      }
    }
    Holder.write(to: descriptor)
    self.descriptor = descriptor
    heartbeat = Heartbeat(descriptor, every: Self.beat)
  }

  deinit {
    heartbeat.stop()
    ftruncate(descriptor, 0)
    close(descriptor)
  }

  /// Touches a file now and then, from a thread of its own.
  private final class Heartbeat: Sendable {
    private let isBeating = Mutex(true)

    init(_ descriptor: Int32, every seconds: Double) {
      Thread.detachNewThread { [self] in
        while isBeating.withLock({ isBeating in
          if isBeating { futimens(descriptor, nil) }
          return isBeating
        }) { Thread.sleep(forTimeInterval: seconds) }
      }
    }

    /// The file is not touched any more when this returns.
    func stop() { isBeating.withLock { $0 = false } }
  }

  /// Seconds since a file was touched, by the clock that touches it.
  private static func age(_ path: String) -> Double {
    var (touched, now) = (stat(), stat())
    var probe = Array("\(path)-XXXXXX".utf8CString)
    let file = mkstemp(&probe)
    guard file >= 0, stat(path, &touched) == 0, fstat(file, &now) == 0 else { return .infinity }
    defer {
      close(file)
      unlink(probe)
    }
    return Double(now.st_mtim.tv_sec - touched.st_mtim.tv_sec)
  }

  /// Who has a lock.
  private struct Holder {
    let host: String
    let process: String

    static let thisHost: String = {
      var name = [CChar](repeating: 0, count: 256)
      guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
      return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// Nil if the file says nothing: the last holder let go of it.
    init?(_ descriptor: Int32) {
      var bytes = [UInt8](repeating: 0, count: 512)
      let count = pread(descriptor, &bytes, bytes.count, 0)
      let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
      guard lines.count >= 2 else { return nil }
      (host, process) = (String(lines[0]), String(lines[1]))
    }

    var text: String { "process \(process) on \(host)" }

    static func write(to descriptor: Int32) {
      let text = "\(thisHost)\n\(ProcessInfo.processInfo.processIdentifier)\n"
      ftruncate(descriptor, 0)
      text.withCString { _ = pwrite(descriptor, $0, strlen($0), 0) }
    }
  }
}
