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

  /// A small file's text.
  ///
  /// - Throws: ``FileError`` with the system's reason, or where the file is too large for text of ours.
  package static func text(_ path: String) throws(FileError) -> String {
    let file = try open(path)
    try file.checkText()
    return String(decoding: file.withBytes(0..<file.count) { $0.elements(as: UInt8.self) }, as: UTF8.self)
  }

  /// Refuses what would take more memory than any text of ours needs.
  func checkText() throws(FileError) {
    guard count <= 1 << 28 else {
      throw .malformed(file: path, expected: "text of at most 256 MiB", found: "\(count) bytes")
    }
  }
}
