/// Why a set of pictures is not read; each one line.
package enum PictureSetError: Error, Equatable, CustomStringConvertible {
  /// A path that is no folder, archive or list of prompts.
  case notASet(path: String, found: String)
  /// Nothing in it is a picture.
  case noPictures(path: String, looked: String)
  /// A line of a metadata file, from 1; 0 for the file as a whole.
  case metadata(file: String, line: Int, reason: String)
  /// An archive that is broken, or whose entries would leave it.
  case archive(path: String, reason: String)
  /// A file or folder that the system does not let us read.
  case unreadable(path: String, reason: String)

  package var description: String {
    switch self {
    case .notASet(let path, let found):
      "\(path): expected a folder of pictures, a .tar or .zip of them, a text file of prompts or an .h5 file of latents, "
        + "found \(found)"
    case .noPictures(let path, let looked): "\(path): no pictures; \(looked)"
    case .metadata(let file, let line, let reason): line > 0 ? "\(file) line \(line): \(reason)" : "\(file): \(reason)"
    case .archive(let path, let reason): "\(path): \(reason)"
    case .unreadable(let path, let reason): "\(path): cannot be read: \(reason)"
    }
  }
}
