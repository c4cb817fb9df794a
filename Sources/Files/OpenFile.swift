package import Kernels

extension MappedFile {
  /// Maps a file.
  ///
  /// - Throws: ``FileError`` with the system's reason.
  package static func open(_ path: String) throws(FileError) -> MappedFile {
    do {
      return try MappedFile(path)
    } catch {
      switch error {
      case .cannotOpen(let path, let reason): throw .cannotRead(file: path, reason: reason)
      case .notAFile(let path): throw .cannotRead(file: path, reason: "not a regular file")
      }
    }
  }
}
