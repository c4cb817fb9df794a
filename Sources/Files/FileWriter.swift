package import Foundation

/// A file that is being written: every write, the last synchronization and the closing must succeed, or an error says so.
package final class FileWriter {
  /// The file that errors name.
  private let name: String
  /// Negative once the file is closed.
  private var descriptor: Int32
  private var end = 0

  /// Creates the file, or empties one that is there.
  ///
  /// - Parameters:
  ///   - path: where the bytes go.
  ///   - name: the file that errors name, where that is another one.
  package convenience init(_ path: String, for name: String? = nil) throws(FileError) {
    try self.init(path, O_RDWR | O_CREAT | O_TRUNC, for: name ?? path)
  }

  private init(_ path: String, _ flags: Int32, for name: String) throws(FileError) {
    self.name = name
    descriptor = open(path, flags | O_CLOEXEC, 0o644)
    if descriptor < 0 { throw .lastFailure(writing: name) }
  }

  /// Replaces a file's first bytes.
  package static func replaceStart(of path: String, with bytes: Data, for name: String) throws(FileError) {
    let writer = try FileWriter(path, O_RDWR, for: name)
    try writer.write(bytes, at: 0)
    try writer.finish()
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Writes behind the last byte.
  package func append(_ bytes: Data) throws(FileError) { try write(bytes, at: end) }

  package func write(_ bytes: Data, at offset: Int) throws(FileError) {
    try OutputsInProgress.check(name)
    let isWritten = bytes.withUnsafeBytes { bytes in
      var written = 0
      // The system takes as much as it likes at a time.
      while written < bytes.count {
        let count = pwrite(descriptor, bytes.baseAddress! + written, bytes.count - written, off_t(offset + written))
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        written += count
      }
      return true
    }
    guard isWritten else { throw .lastFailure(writing: name) }
    end = max(end, offset + bytes.count)
  }

  /// Bytes that were written before.
  package func read(_ offset: Int, _ count: Int) throws(FileError) -> Data {
    var data = Data(count: count)
    let isRead = data.withUnsafeMutableBytes { bytes in
      var done = 0
      while done < count {
        let read = pread(descriptor, bytes.baseAddress! + done, count - done, off_t(offset + done))
        if read < 0 && errno == EINTR { continue }
        guard read > 0 else { return false }
        done += read
      }
      return true
    }
    guard isRead else { throw .lastFailure(writing: name) }
    return data
  }

  /// Forces the bytes to the disk and closes the file.
  package func finish() throws(FileError) {
    guard fsync(descriptor) == 0 else { throw .lastFailure(writing: name) }
    let closed = close(descriptor)
    descriptor = -1
    // A signal may interrupt it; on Linux the file is closed all the same.
    guard closed == 0 || errno == EINTR else { throw .lastFailure(writing: name) }
  }
}

/// A text file that grows by a line at a time, such as a log.
package enum LineFile {
  /// Appends to the file, which is made if it is not there.
  package static func append(_ line: Data, to path: String) throws(FileError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .lastFailure(writing: path) }
    defer { close(descriptor) }
    let written = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    guard written == line.count else { throw .lastFailure(writing: path) }
  }
}

/// Forces names and bytes to the disk.
enum Synchronization {
  /// - Parameter name: the file that an error names.
  static func file(_ path: String, for name: String) throws(FileError) { try force(path, O_RDWR, name) }

  /// Makes the names in a folder survive a power failure.
  static func folder(_ path: String, for name: String) throws(FileError) {
    try force(path.isEmpty ? "." : path, O_RDONLY | O_DIRECTORY, name)
  }

  private static func force(_ path: String, _ flags: Int32, _ name: String) throws(FileError) {
    let descriptor = open(path, flags | O_CLOEXEC)
    guard descriptor >= 0 else { throw .lastFailure(writing: name) }
    let forced = fsync(descriptor)
    let reason = errno
    close(descriptor)
    guard forced == 0 else {
      errno = reason
      throw .lastFailure(writing: name)
    }
  }
}

extension FileError {
  /// What the system said last about a file that is being written.
  static func lastFailure(writing name: String) -> FileError {
    .cannotWrite(file: name, reason: String(cString: strerror(errno)))
  }
}
