extension String {
  /// The text with every character that would steer a terminal, or end its line, written as an escape.
  ///
  /// Names and values in messages come from strangers' files. Left as they are: letters, signs and spaces of all scripts.
  /// Escaped as in Swift's literals: line ends, controls (Unicode's Cc), and what turns the direction of text (Cf of the
  /// bidirectional algorithm), by which a name can look like another.
  ///
  /// - Parameter keepsLines: whether line feeds and tabs stay, for results of several lines.
  package func printable(keepsLines: Bool = false) -> String {
    var text = String.UnicodeScalarView()
    for scalar in unicodeScalars {
      if keepsLines && (scalar == "\n" || scalar == "\t") || !scalar.steersTerminal {
        text.append(scalar)
      } else {
        text.append(contentsOf: scalar.escaped(asASCII: true).unicodeScalars)
      }
    }
    return String(text)
  }
}

extension Unicode.Scalar {
  fileprivate var steersTerminal: Bool {
    switch properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    case .format: properties.isBidiControl
    default: false
    }
  }
}
