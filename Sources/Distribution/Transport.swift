internal import Foundation
internal import Kernels

#if canImport(CMPI)
  internal import CMPI

  /// The few calls of MPI that are used.
  ///
  /// Nothing here blocks: whoever waits asks again and again and sleeps in between. Ranks may then share processors with
  /// each other and with other programs, where MPI's own waiting would burn the time that the awaited rank needs.
  enum Transport {
    typealias Request = MPI_Request
    static let isBuilt = true

    static func start() throws(RankError) -> (rank: Int, count: Int) {
      var (rank, count) = (Int32(0), Int32(1))
      guard sd_mpi_start(&rank, &count) == 0 else { throw .failed("MPI_Init_thread") }
      return (Int(rank), Int(count))
    }

    static func finish() { _ = sd_mpi_finish() }

    static func send(_ buffer: Buffer, to rank: Int) throws(RankError) -> Request {
      var request: Request?
      guard sd_mpi_send(buffer.pointer, Int32(buffer.count), Int32(rank), &request) == 0, let request else {
        throw .failed("MPI_Isend")
      }
      return request
    }

    static func receive(into buffer: Buffer, from rank: Int) throws(RankError) -> Request {
      var request: Request?
      guard sd_mpi_receive(buffer.pointer, Int32(buffer.count), Int32(rank), &request) == 0, let request else {
        throw .failed("MPI_Irecv")
      }
      return request
    }

    /// Moves all messages on.
    ///
    /// - Returns: whether this one has arrived; the request is used up then.
    static func isDone(_ request: Request) throws(RankError) -> Bool {
      var request: Request? = request
      var done: Int32 = 0
      guard sd_mpi_test(&request, &done) == 0 else { throw .failed("MPI_Test") }
      return done != 0
    }

    static func wait(_ request: Request) throws(RankError) {
      while try !isDone(request) { usleep(pause) }
    }

    static func sum(_ values: [Double]) throws(RankError) -> [Double] {
      let sums = UnsafeMutableBufferPointer<Double>.allocate(capacity: values.count)
      defer { sums.deallocate() }
      _ = sums.initialize(from: values)
      var request: Request?
      guard sd_mpi_sum(sums.baseAddress, Int32(values.count), &request) == 0, let request else {
        throw .failed("MPI_Iallreduce")
      }
      try wait(request)
      return Array(sums)
    }

    /// Microseconds between two looks at a message.
    private static let pause: UInt32 = 50
  }
#else
  /// A build without MPI: a process is alone, and nothing is ever sent.
  enum Transport {
    typealias Request = Never
    static let isBuilt = false

    static func start() throws(RankError) -> (rank: Int, count: Int) { (0, 1) }
    static func finish() {}
    static func send(_ buffer: Buffer, to rank: Int) throws(RankError) -> Request { nothing() }
    static func receive(into buffer: Buffer, from rank: Int) throws(RankError) -> Request { nothing() }
    static func isDone(_ request: Request) throws(RankError) -> Bool {}
    static func wait(_ request: Request) throws(RankError) {}
    static func sum(_ values: [Double]) throws(RankError) -> [Double] { values }

    private static func nothing() -> Never { preconditionFailure("messages in a build without MPI") }
  }
#endif
