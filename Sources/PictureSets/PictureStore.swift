/// Where the files of a set are: a folder or archives.
protocol PictureStore: Sendable {
  /// Paths of all files, sorted; junk is left out.
  var files: [String] { get }
  /// Files that are there but must not be read, with the reason: links that lead out of the folder, and pipes.
  var refused: [UnusablePicture] { get }

  /// The start of a small file.
  ///
  /// - Parameter limit: bytes that are read at most.
  func bytes(of file: String, limit: Int) throws(PictureSetError) -> [UInt8]

  /// Reads pictures one after the other, in the order in which that is cheap.
  ///
  /// - Parameter body: takes a file and its bytes, or why it cannot be read; returns false to stop.
  func read(
    _ files: Set<String>, _ body: (String, Result<[UInt8], UnusablePicture>) throws -> Bool
  ) throws
}
