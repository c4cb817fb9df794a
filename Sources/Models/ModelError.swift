/// What is wrong with a model as a whole, an adapter or an embedding; each one line.
package enum ModelError: Error, CustomStringConvertible, Equatable {
  /// Something is no model, or not the one that was asked for.
  case notAModel(path: String, expected: String, found: String)
  /// A part is not there.
  case missing(part: String, path: String, hint: String)
  /// An adapter that does not fit the model.
  case adapter(path: String, item: String, expected: String, found: String)
  /// An embedding that does not fit the model.
  case embedding(path: String, expected: String, found: String)

  package var description: String {
    switch self {
    case .notAModel(let path, let expected, let found): "\(path): expected \(expected), found \(found)"
    case .missing(let part, let path, let hint): "\(path): no \(part): \(hint)"
    case .adapter(let path, let item, let expected, let found): "\(path): \(item): expected \(expected), found \(found)"
    case .embedding(let path, let expected, let found): "\(path): expected \(expected), found \(found)"
    }
  }
}
