package import Foundation

/// A read-only file in memory, paged in by the system as it is touched.
///
/// Reads are checked against the length at opening. If somebody shortens the file meanwhile, the system stops the
/// process: files in use must be replaced, not overwritten.
package final class MappedFile: @unchecked Sendable {
  package enum Failure: Error, CustomStringConvertible {
    case cannotOpen(String, reason: String)
    case notAFile(String)

    package var description: String {
      switch self {
      case .cannotOpen(let path, let reason): "\(path): cannot be opened: \(reason)"
      case .notAFile(let path): "\(path): not a regular file"
      }
    }
  }

  package let path: String
  package let count: Int
  private let base: UnsafeRawPointer?

  package init(_ path: String) throws(Failure) {
    // Without O_NONBLOCK, opening a pipe waits for somebody to write to it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw .cannotOpen(path, reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .notAFile(path)
    }
    self.path = path
    count = Int(status.st_size)
    if count == 0 {
      base = nil
    } else {
      let mapped = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
      guard let mapped, mapped != MAP_FAILED else {
        throw .cannotOpen(path, reason: String(cString: strerror(errno)))
      }
      base = UnsafeRawPointer(mapped)
    }
  }

  deinit {
    if let base { munmap(UnsafeMutableRawPointer(mutating: base), count) }
  }

  /// Lends a part of the file.
  ///
  /// - Precondition: `range` lies inside the file; callers check what they read from it.
  package func withBytes<Result, Failure: Error>(
    _ range: Range<Int>, _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count, "\(path): \(range) of \(count) bytes")
    guard let base, !range.isEmpty else { return try body(RawSpan()) }
    return try body(
      RawSpan(_unsafeStart: base + range.lowerBound, byteCount: range.count))
  }

  /// Lets go of the memory that a part of the file takes; reading it again brings it back.
  ///
  /// - Precondition: `range` lies inside the file.
  package func forget(_ range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count, "\(path): \(range) of \(count) bytes")
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let first = (range.lowerBound + page - 1) / page * page
    let last = range.upperBound / page * page
    guard let base, first < last else { return }
    madvise(UnsafeMutableRawPointer(mutating: base + first), last - first, MADV_DONTNEED)
  }

  /// A copy of a part of the file.
  package func data(_ range: Range<Int>) -> Data {
    withBytes(range) { bytes in bytes.withUnsafeBytes { Data($0) } }
  }
}
