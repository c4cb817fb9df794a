package import Files
internal import Foundation
package import Kernels
internal import Synchronization

/// A file without a name, for numbers that need not be in memory between their uses.
///
/// It is gone when the process is, however that ends. Its space is taken at once, so that a full disk is an error and not
/// the end of the process.
package final class ScratchFile: Sendable {
  private let descriptor: Int32
  private let folder: String
  private let end = Mutex(0)

  /// Fewer numbers than this stay in memory.
  private static let least = 1 << 16

  package init(in folder: String) throws(FileError) {
    var path = Array("\(folder)/.scratch-XXXXXX".utf8CString)
    descriptor = mkstemp(&path)
    self.folder = folder
    guard descriptor >= 0 else { throw failure(errno) }
    unlink(path)
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The same numbers in the file; where they are few, the buffer itself.
  package func keep(_ x: Buffer) throws(FileError) -> Buffer {
    guard x.count >= Self.least else { return x }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let bytes = (4 * x.count + page - 1) / page * page
    let start = end.withLock { end in
      end += bytes
      return end - bytes
    }
    var taken: Int32
    repeat { taken = posix_fallocate(descriptor, off_t(start), off_t(bytes)) } while taken == EINTR
    guard taken == 0 else { throw failure(taken) }
    let pages = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, off_t(start))
    guard let pages, pages != MAP_FAILED else { throw failure(errno) }
    let kept = Buffer(mapped: pages, bytes: bytes, count: x.count)
    kept.copy(from: x, 0..<x.count, at: 0)
    kept.letGo()
    return kept
  }

  private func failure(_ number: Int32) -> FileError {
    .cannotWrite(file: "\(folder)/.scratch", reason: String(cString: strerror(number)))
  }
}
