internal import Foundation

/// The processes that work on one run together, started by `mpirun`; alone, there is one.
///
/// Every rank takes an equal share of every batch and keeps what training needs of the weights that it owns
/// (``Ownership``). All of them make the same calls in the same order, on the thread that joined. Buffers are summed in the
/// order of ranks, so that they are the same bits for the same number of ranks.
package struct Ranks: Sendable {
  /// This process among them, from 0 on.
  package let rank: Int
  package let count: Int

  package static let alone = Ranks(rank: 0, count: 1)

  /// Whether this build knows MPI.
  package static var isBuilt: Bool { Transport.isBuilt }

  /// Whether this process writes files and says how it goes.
  package var isFirst: Bool { rank == 0 }

  /// All but this one, in order.
  package var others: [Int] { (0..<count).filter { $0 != rank } }

  /// Joins the others that `mpirun` started.
  ///
  /// Once a process; ``finish()`` ends it. If a rank ends without that, `mpirun` ends the others.
  ///
  /// - Throws: if there are others and this build knows no MPI.
  package static func join() throws(RankError) -> Ranks {
    let environment = ProcessInfo.processInfo.environment
    guard let size = environment["OMPI_COMM_WORLD_SIZE"].flatMap({ Int($0) }), size > 1 else { return .alone }
    guard isBuilt else { throw .notBuilt(ranks: size) }
    let (rank, count) = try Transport.start()
    return Ranks(rank: rank, count: count)
  }

  /// The sums of every element over all ranks; all have got there when it returns.
  package func sum(_ values: [Double]) throws(RankError) -> [Double] {
    count > 1 ? try Transport.sum(values) : values
  }

  /// Leaves; nothing is sent afterwards.
  package func finish() {
    if count > 1 { Transport.finish() }
  }
}

/// What can go wrong among ranks; each one line.
package enum RankError: Error, CustomStringConvertible, Equatable {
  case notBuilt(ranks: Int)
  case failed(String)
  case unequal(batchSize: Int, ranks: Int)

  package var description: String {
    switch self {
    case .notBuilt(let ranks):
      "mpirun started \(ranks) processes, but this sdtune was built without MPI: build it with `make build MPI=1`"
    case .failed(let call): "MPI: \(call) failed"
    case .unequal(let batchSize, let ranks):
      "training.batchSize: expected a multiple of the \(ranks) processes that mpirun started, found \(batchSize)"
    }
  }
}
