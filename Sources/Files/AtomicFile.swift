package import Foundation

/// A file that appears under its name only when it is whole and on the disk.
///
/// It grows as `<name>.partial` beside its final place; a crash or an error at any instant leaves
/// whatever stood under the name before.
package struct AtomicFile {
  package let path: String

  package init(path: String) { self.path = path }

  package var temporaryPath: String { path + ".partial" }

  /// Lets the closure write the temporary file, then forces it to the disk and renames it.
  package func write(
    _ body: (_ temporaryPath: String) throws(FileError) -> Void
  ) throws(FileError) {
    try checkPlace()
    do throws(FileError) {
      try body(temporaryPath)
      try synchronize(temporaryPath, O_RDWR)
      guard rename(temporaryPath, path) == 0 else { throw failure() }
    } catch {
      unlink(temporaryPath)
      throw error
    }
    // The new name must survive a power failure too.
    let folder = (path as NSString).deletingLastPathComponent
    try synchronize(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY)
  }

  /// - Throws: if something stands under the name that is no file, such as a device or a folder.
  private func checkPlace() throws(FileError) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
    throw .cannotWrite(file: path, reason: "it exists and is no regular file; choose another name")
  }

  /// Takes the bytes of the temporary file one piece after the other.
  package struct Sink: ~Copyable {
    fileprivate let file: AtomicFile
    fileprivate let descriptor: Int32

    deinit { close(descriptor) }

    package func append(_ piece: Data) throws(FileError) {
      let complete = piece.withUnsafeBytes { bytes in
        var written = 0
        // The system takes as much as it likes at a time.
        while written < bytes.count {
          let count = Foundation.write(
            descriptor, bytes.baseAddress! + written, bytes.count - written)
          if count < 0 && errno == EINTR { continue }
          guard count > 0 else { return false }
          written += count
        }
        return true
      }
      if !complete { throw file.failure() }
    }
  }

  /// Lets the closure write the file piece by piece, as ``write(_:)`` does.
  package func writeBytes(
    _ body: (borrowing Sink) throws(FileError) -> Void
  ) throws(FileError) {
    try write { (temporaryPath) throws(FileError) in
      let descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { throw failure() }
      try body(Sink(file: self, descriptor: descriptor))
    }
  }

  /// Replaces the first bytes of the temporary file.
  package func overwriteStart(with piece: Data) throws(FileError) {
    let descriptor = open(temporaryPath, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure() }
    try Sink(file: self, descriptor: descriptor).append(piece)
  }

  private func synchronize(_ path: String, _ flags: Int32) throws(FileError) {
    let descriptor = open(path, flags | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure() }
  }

  /// What the system said last about the file.
  fileprivate func failure() -> FileError {
    .cannotWrite(file: path, reason: String(cString: strerror(errno)))
  }
}
