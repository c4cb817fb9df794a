package import Kernels

/// Which rank keeps which weight: about as many elements on each, the same on every rank and in every run.
package struct Ownership: Sendable {
  /// All weights in the order in which they are sent.
  package let weights: [(name: String, count: Int)]
  private let owners: [String: Int]

  package init(_ weights: [(name: String, count: Int)], ranks: Int) {
    self.weights = weights
    var owners: [String: Int] = [:]
    var loads = [Int](repeating: 0, count: ranks)
    // The largest first, each to the rank that has least.
    for (name, count) in weights.sorted(by: { $0.count == $1.count ? $0.name < $1.name : $0.count > $1.count }) {
      let least = loads.indices.min { loads[$0] < loads[$1] } ?? 0
      owners[name] = least
      loads[least] += count
    }
    self.owners = owners
  }

  /// The rank that keeps a weight.
  package func owner(of name: String) -> Int {
    guard let owner = owners[name] else { preconditionFailure("\(name) is nobody's") }
    return owner
  }

  /// The weights of one rank, in their order.
  package func names(of rank: Int) -> [String] { weights.map(\.name).filter { owner(of: $0) == rank } }
}

extension Ranks {
  /// A buffer for every weight on every rank, made by its owner.
  ///
  /// - Parameter make: called for the weights of this rank; the buffers must not change before this returns.
  package func exchange(_ ownership: Ownership, _ make: (String) -> Buffer) throws(RankError) -> [String: Buffer] {
    var buffers: [String: Buffer] = [:]
    var messages: [Message] = []
    for (name, count) in ownership.weights where ownership.owner(of: name) != rank {
      let message = try receive(count, from: ownership.owner(of: name))
      buffers[name] = message.buffer
      messages.append(message)
    }
    for name in ownership.names(of: rank) {
      let buffer = make(name)
      buffers[name] = buffer
      for other in others { messages.append(try send(buffer, to: other)) }
    }
    for message in messages { try message.wait() }
    return buffers
  }
}
