internal import Foundation

/// What CLIP's tokenizer does to a text before it looks anything up: clean-up, lower case, words.
///
/// transformers has three versions of this, which agree on ordinary text. Where they differ this one sides with the
/// majority: like the fast tokenizer it leaves ideographs and zero-width characters where they are, like the other two
/// it drops control characters and byte-order marks and gives Greek words their final sigma.
enum PromptText {
  /// Lower-case text in composed form without control characters.
  static func normalized(_ text: String) -> String {
    var kept = String.UnicodeScalarView()
    kept.append(contentsOf: text.unicodeScalars.filter { !isDropped($0) })
    return lowercased(String(kept).precomposedStringWithCanonicalMapping)
  }

  /// Control characters and marks that ftfy removes; space-like ones stay and separate words.
  private static func isDropped(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x00...0x08, 0x0E...0x1F, 0x7F, 0x206A...0x206F, 0xFEFF, 0xFFF9...0xFFFC: true
    default: false
    }
  }

  /// Lower case scalar by scalar, with Unicode's one rule that looks at neighbours.
  private static func lowercased(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    for (index, scalar) in scalars.enumerated() {
      if scalar == "Σ" {
        result += isFinal(index, scalars) ? "ς" : "σ"
      } else {
        result += scalar.properties.lowercaseMapping
      }
    }
    return result
  }

  /// Whether a sigma ends a word: a cased letter before it, none behind it, ignorable marks skipped.
  private static func isFinal(_ index: Int, _ scalars: [Unicode.Scalar]) -> Bool {
    func counts(_ scalar: Unicode.Scalar) -> Bool { !scalar.properties.isCaseIgnorable }
    let before = scalars[..<index].last(where: counts)
    let after = scalars[(index + 1)...].first(where: counts)
    return before?.properties.isCased ?? false && !(after?.properties.isCased ?? false)
  }

  /// Contractions that are words of their own, in the order in which they are tried.
  private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map {
    Array($0.unicodeScalars)
  }

  private enum Kind { case letter, number, space, other }

  private static func kind(_ scalar: Unicode.Scalar) -> Kind {
    if scalar.properties.isWhitespace { return .space }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      return .letter
    case .decimalNumber, .letterNumber, .otherNumber: return .number
    default: return .other
    }
  }

  /// Runs of letters, single digits, runs of anything else but space, and contractions.
  ///
  ///     's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
  static func words(_ text: String) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var words: [String] = []
    var at = 0
    while at < scalars.count {
      let first = kind(scalars[at])
      var end = at + 1
      if let contraction = contractions.first(where: { scalars[at...].starts(with: $0) }) {
        end = at + contraction.count
      } else if first == .letter || first == .other {
        while end < scalars.count, kind(scalars[end]) == first { end += 1 }
      }
      if first != .space {
        var word = String.UnicodeScalarView()
        word.append(contentsOf: scalars[at..<end])
        words.append(String(word))
      }
      at = end
    }
    return words
  }

  /// Bytes that stand for themselves in vocabularies.
  private static func isPrintable(_ byte: Int) -> Bool {
    (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
  }

  /// The character that stands for each byte in vocabularies: printable ones for themselves, the others from U+0100 on
  /// (`bytes_to_unicode`).
  static let characters: [String] = {
    var next: UInt32 = 0x100
    return (0..<256).map { byte -> String in
      if isPrintable(byte) { return String(Unicode.Scalar(UInt8(byte))) }
      defer { next += 1 }
      return Unicode.Scalar(next).map { String($0) } ?? ""
    }
  }()

  /// The same in the order of CLIP's vocabulary: printable bytes first.
  static let charactersInOrder: [String] =
    (0..<256).filter { isPrintable($0) }.map { characters[$0] }
    + (0..<256).filter { !isPrintable($0) }.map { characters[$0] }
}
