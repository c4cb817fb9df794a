/// Why a file is not read as a picture; each one line, without the file's name.
package enum PictureError: Error, Equatable, CustomStringConvertible {
  /// Content of another kind, such as `an SVG drawing`.
  case notRead(found: String)
  /// A picture of a kind that is read, but not a sound one.
  case damaged(format: PictureFormat, reason: String)
  /// More pixels than are decoded, by the header's word.
  case tooLarge(width: Int, height: Int, most: Int)
  /// The file itself, as the system says it.
  case file(reason: String)

  package var description: String {
    switch self {
    case .notRead(let found): "expected a JPEG, PNG or WebP picture, found \(found)"
    case .damaged(let format, let reason): "not a sound \(format.rawValue) picture: \(reason)"
    case .tooLarge(let width, let height, let most):
      "expected at most \(most) pixels, found \(width)×\(height) declared"
    case .file(let reason): "cannot be read: \(reason)"
    }
  }
}
