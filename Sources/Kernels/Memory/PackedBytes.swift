/// A block of bytes that kernels read and write, from the same pool as ``Buffer``.
package struct PackedBytes: Sendable {
  package let count: Int
  private let storage: Buffer

  /// Zeros.
  package init(zeros count: Int) {
    self.count = count
    storage = Buffer(count: Self.words(count))
  }

  /// The bytes of a buffer that ``words`` gave.
  package init(words: Buffer, count: Int) {
    precondition(words.count == Self.words(count), "PackedBytes: \(count) bytes in \(words.count) words")
    self.count = count
    storage = words
  }

  /// The bytes as they are kept, four to a word.
  package var words: Buffer { storage }

  /// Words for so many bytes.
  package static func words(_ count: Int) -> Int { (count + 3) / 4 }

  package init(_ bytes: [UInt8]) {
    self.init(zeros: bytes.count)
    withElements(of: UInt8.self) { $0.update(from: bytes, count: bytes.count) }
  }

  /// Lends the bytes as numbers of another type.
  func withElements<Element: BitwiseCopyable, Result>(
    of type: Element.Type, _ body: (UnsafeMutablePointer<Element>) -> Result
  ) -> Result {
    withExtendedLifetime(storage) {
      storage.pointer.withMemoryRebound(to: type, capacity: max(1, count / MemoryLayout<Element>.stride), body)
    }
  }

  /// Lends the bytes for reading.
  package func withBytes<Result, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try storage.withSpan { (span) throws(Failure) -> Result in try body(span.bytes.extracting(first: count)) }
  }
}
