extension String {
  /// The text with `?` for control characters, which names of files may have.
  package var onOneLine: String {
    String(String.UnicodeScalarView(unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : $0 }))
  }
}
