internal import Files

/// Tensors and texts of a pickle by name: keys of dictionaries, joined by dots.
struct TorchContents {
  private(set) var tensors: [String: PickledTensor] = [:]
  private(set) var texts: [String: String] = [:]
  private var visits = 0
  private let path: String

  private static let deepest = 16
  private static let mostEntries = 1_000_000
  private static let longestName = 1024

  /// - Parameter unwraps: whether of a dictionary with a `state_dict` only that counts.
  init(_ root: PickleValue, _ path: String, unwraps: Bool = true) throws(FileError) {
    self.path = path
    try collect(unwraps ? Self.unwrapped(root) : root, "", 0)
  }

  private static func unwrapped(_ value: PickleValue) -> PickleValue {
    var value = value
    for _ in 0..<deepest {
      guard case .dictionary(let dictionary) = value, let inner = dictionary["state_dict"] else { break }
      value = inner
    }
    return value
  }

  private mutating func collect(_ value: PickleValue, _ name: String, _ depth: Int) throws(FileError) {
    guard depth < Self.deepest, name.utf8.count <= Self.longestName else {
      throw .malformed(
        file: path,
        expected: "dictionaries at most \(Self.deepest) deep, with names of at most \(Self.longestName) bytes",
        found: "more")
    }
    // A dictionary can stand in others many times, and then counts every time.
    visits += 1
    guard visits <= Self.mostEntries else {
      throw .malformed(file: path, expected: "at most \(Self.mostEntries) entries", found: "more")
    }
    switch value {
    case .tensor(let tensor):
      guard tensors.updateValue(tensor, forKey: name) == nil else {
        throw .malformedItem(file: path, item: name, expected: "each name once", found: "two tensors of it")
      }
    case .text(let text): texts[name] = text
    case .dictionary(let dictionary):
      for (key, value) in dictionary.pairs {
        guard case .text(let key) = key else { continue }
        try collect(value, name.isEmpty ? key : "\(name).\(key)", depth + 1)
      }
    default: break
    }
  }
}
