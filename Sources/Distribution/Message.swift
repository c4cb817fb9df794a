package import Kernels

/// A buffer on its way to or from another rank.
///
/// Messages between two ranks arrive in the order in which they were sent.
package final class Message {
  /// Not to be written before a sent message has left, nor read before a received one is there.
  package let buffer: Buffer
  private var request: Transport.Request?

  fileprivate init(_ buffer: Buffer, _ request: Transport.Request) {
    self.buffer = buffer
    self.request = request
  }

  /// Waits until it has left, or is there.
  package func wait() throws(RankError) {
    guard let request else { return }
    try Transport.wait(request)
    self.request = nil
  }

  /// Moves all messages on, whichever this is: MPI does so only when it is called.
  func poke() throws(RankError) {
    if let request, try Transport.isDone(request) { self.request = nil }
  }
}

extension Ranks {
  /// Starts to send a buffer.
  package func send(_ buffer: Buffer, to rank: Int) throws(RankError) -> Message {
    Message(buffer, try Transport.send(buffer, to: rank))
  }

  /// Starts to receive a buffer.
  package func receive(_ count: Int, from rank: Int) throws(RankError) -> Message {
    let buffer = Buffer(uninitialized: count)
    return Message(buffer, try Transport.receive(into: buffer, from: rank))
  }
}
