/// Names of modules in two layouts; a tensor's name is its module's with whatever follows.
struct NameTable: Sendable {
  private let byOriginal: [String: String]
  private let byDiffusers: [String: String]

  /// - Parameter pairs: of modules; the deepest that fits a name counts.
  init(_ pairs: [(original: String, diffusers: String)]) {
    byOriginal = Dictionary(pairs.map { ($0.original, $0.diffusers) }, uniquingKeysWith: { first, _ in first })
    byDiffusers = Dictionary(pairs.map { ($0.diffusers, $0.original) }, uniquingKeysWith: { first, _ in first })
  }

  /// diffusers' name of an original one; nil if no module fits.
  func diffusers(_ original: String) -> String? { Self.translated(original, byOriginal) }

  /// The original name of one of diffusers'; nil if no module fits.
  func original(_ diffusers: String) -> String? { Self.translated(diffusers, byDiffusers) }

  /// Whole components are compared: `input_blocks.1` is no part of `input_blocks.10`.
  private static func translated(_ name: String, _ table: [String: String]) -> String? {
    var end = name.endIndex
    while true {
      if let found = table[String(name[..<end])] { return found + name[end...] }
      guard let dot = name[..<end].lastIndex(of: ".") else { return nil }
      end = dot
    }
  }
}
