internal import Archives

extension String {
  /// The path of a package or compiled model, or of a folder of them; of a zip archive of such that of its contents, which
  /// are unpacked beside it first.
  ///
  /// - Parameter anew: whether an archive is read even if its contents are there already.
  func unpacked(anew: Bool = false) throws -> String {
    guard let archive = try UnpackedArchive(self) else { return self }
    if anew || !archive.isCurrent { Terminal.note("unpacking \(self) to \(archive.folder)") }
    return try archive.unpacked(anew: anew)
  }
}
