package import Kernels

/// A sum over all ranks, on its way to the one that wants it.
package struct PendingSum {
  private let own: Buffer
  private let rank: Int
  private let isWanted: Bool
  /// Where it is wanted, those of the other ranks in their order; elsewhere, ours.
  private let messages: [Message]

  fileprivate init(_ own: Buffer, at owner: Int, _ ranks: Ranks) throws(RankError) {
    self.own = own
    rank = ranks.rank
    isWanted = owner == ranks.rank
    var messages: [Message] = []
    if isWanted {
      for other in ranks.others { messages.append(try ranks.receive(own.count, from: other)) }
    } else {
      messages.append(try ranks.send(own, to: owner))
    }
    self.messages = messages
    try messages.first?.poke()
  }

  /// Waits for it, or until others have what they want of it.
  ///
  /// - Returns: nil where another rank wanted it.
  package func result() throws(RankError) -> Buffer? {
    for message in messages { try message.wait() }
    guard isWanted else { return nil }
    guard let sum = messages.first?.buffer else { return own }
    // In the order of ranks; of the first two, either may come first.
    var parts = messages.dropFirst().map(\.buffer)
    parts.insert(own, at: max(0, rank - 1))
    for part in parts { Elementwise.accumulate(part, into: sum) }
    return sum
  }
}

extension Ranks {
  /// Starts to sum a buffer, of the same size everywhere, over all ranks.
  ///
  /// The buffer must not change before ``PendingSum/result()``.
  ///
  /// - Parameter owner: the rank that wants the sum.
  package func startSum(_ buffer: Buffer, at owner: Int) throws(RankError) -> PendingSum {
    try PendingSum(buffer, at: owner, self)
  }
}
