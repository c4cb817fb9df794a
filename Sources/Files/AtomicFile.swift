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
  ///
  /// - Parameter check: looks at the whole file before it takes its place.
  package func write(
    _ body: (_ temporaryPath: String) throws(FileError) -> Void,
    check: (_ temporaryPath: String) throws(FileError) -> Void = { (_) throws(FileError) in }
  ) throws(FileError) {
    try checkPlace()
    OutputsInProgress.begin()
    defer { OutputsInProgress.end() }
    do throws(FileError) {
      try body(temporaryPath)
      try Synchronization.file(temporaryPath, for: path)
      try check(temporaryPath)
      guard rename(temporaryPath, path) == 0 else { throw .lastFailure(writing: path) }
    } catch {
      unlink(temporaryPath)
      throw error
    }
    // The new name must survive a power failure too.
    try Synchronization.folder((path as NSString).deletingLastPathComponent, for: path)
  }

  /// - Throws: if something stands under the name that is no file, such as a device or a folder.
  private func checkPlace() throws(FileError) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
    throw .cannotWrite(file: path, reason: "it exists and is no regular file; choose another name")
  }

  /// Lets the closure write the file piece by piece, as ``write(_:check:)`` does.
  package func writeBytes(_ body: (FileWriter) throws(FileError) -> Void) throws(FileError) {
    try write { (temporaryPath) throws(FileError) in
      let writer = try FileWriter(temporaryPath, for: path)
      try body(writer)
      try writer.finish()
    }
  }

  /// Replaces the file with these bytes, which are read back before they take its place.
  package func write(_ contents: Data) throws(FileError) {
    try write { (temporaryPath) throws(FileError) in
      let writer = try FileWriter(temporaryPath, for: path)
      try writer.append(contents)
      try writer.finish()
    } check: { (temporaryPath) throws(FileError) in
      try FileCopy.check(temporaryPath, holds: contents, for: path)
    }
  }
}
