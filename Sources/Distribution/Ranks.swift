internal import Foundation
package import Kernels

#if canImport(CMPI)
  internal import CMPI
#endif

/// The processes that work on one run together, started by `mpirun`; alone, there is one.
///
/// Every rank holds all weights and takes an equal share of every batch; gradients are summed over ranks before anything
/// else is done with them, so that all ranks stay equal to the last bit. Sums are the same bits for the same number of
/// ranks.
package struct Ranks: Sendable {
  /// This process among them, from 0 on.
  package let rank: Int
  package let count: Int

  package static let alone = Ranks(rank: 0, count: 1)

  /// Whether this process writes files and says how it goes.
  package var isFirst: Bool { rank == 0 }

  /// Joins the others that `mpirun` started.
  ///
  /// Once a process; ``finish()`` ends it. If a rank ends without that, `mpirun` ends the others.
  ///
  /// - Throws: if there are others and this build knows no MPI.
  package static func join() throws(RankError) -> Ranks {
    let environment = ProcessInfo.processInfo.environment
    guard let size = environment["OMPI_COMM_WORLD_SIZE"].flatMap({ Int($0) }), size > 1 else { return .alone }
    #if canImport(CMPI)
      var (rank, count) = (Int32(0), Int32(1))
      guard sd_mpi_start(&rank, &count) == 0 else { throw .failed("MPI_Init_thread") }
      return Ranks(rank: Int(rank), count: Int(count))
    #else
      throw .notBuilt(ranks: size)
    #endif
  }

  /// Replaces every element by its sum over all ranks.
  package func sum(_ buffer: Buffer) throws(RankError) {
    guard count > 1 else { return }
    #if canImport(CMPI)
      // The count is a 32-bit number there.
      for start in stride(from: 0, to: buffer.count, by: 1 << 28) {
        let length = min(1 << 28, buffer.count - start)
        guard sd_mpi_sum(buffer.pointer + start, Int32(length)) == 0 else { throw .failed("MPI_Allreduce") }
      }
    #endif
  }

  /// Leaves; nothing is summed afterwards.
  package func finish() {
    #if canImport(CMPI)
      if count > 1 { _ = sd_mpi_finish() }
    #endif
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
