internal import Kernels
package import StrictJSON

extension StrictJSON {
  /// Reads a whole JSON file.
  ///
  /// - Throws: ``FileError`` with line and column where the text is not JSON.
  package static func read(_ path: String, dialect: Dialect = .strict) throws(FileError) -> StrictJSON {
    let file = try MappedFile.open(path)
    if [.gitLFSPointer, .webPage, .empty].contains(FileContent(file)) {
      throw .malformed(file: path, expected: "JSON text", found: FileContent(file).inWords)
    }
    try file.checkText()
    do {
      return try parse(file.withBytes(0..<file.count) { $0.elements(as: UInt8.self) }, dialect: dialect)
    } catch {
      throw .malformed(
        file: path, expected: "\(error.expected) at line \(error.line), column \(error.column)",
        found: "text that is not JSON")
    }
  }
}
