internal import CKernels
package import Foundation

/// A block of 32-bit floats that kernels read and write.
///
/// Memory is 64-byte aligned and comes from ``BufferPool``, because a training step asks for the same sizes again and
/// again and fresh pages cost as much as the arithmetic on them. A buffer is written by the code that made it, and only
/// read after it was shared, until a single owner is left: that discipline, not a lock, makes it `Sendable`.
///
/// A buffer held by a variable lives to the end of the calls that take its `pointer`. One reached through an element of
/// an array does not: the optimizer may let go of the array first. Kernels therefore name their buffers.
package final class Buffer: @unchecked Sendable {
  package let count: Int
  package let pointer: UnsafeMutablePointer<Float>
  private let origin: Origin

  private enum Origin {
    case pool(BufferPool.Block)
    /// Pages of a file.
    case file(bytes: Int)
  }

  /// - Parameter count: number of floats; their values are unspecified.
  package init(uninitialized count: Int) {
    precondition(count >= 0, "Buffer: \(count) elements")
    self.count = count
    let block = BufferPool.take(count)
    pointer = block.pointer
    origin = .pool(block)
  }

  /// Numbers at the start of mapped pages, which become the buffer's own.
  package init(mapped pages: UnsafeMutableRawPointer, bytes: Int, count: Int) {
    precondition(count >= 0 && 4 * count <= bytes, "Buffer: \(count) elements in \(bytes) bytes")
    self.count = count
    pointer = pages.bindMemory(to: Float.self, capacity: count)
    origin = .file(bytes: bytes)
  }

  deinit {
    switch origin {
    case .pool(let block):
      if BufferPool.poisons { pointer.update(repeating: .nan, count: count) }
      BufferPool.give(block)
    case .file(let bytes): munmap(pointer, bytes)
    }
  }

  /// Lets go of the memory of numbers that are kept in a file: their next use brings them back. Others stay.
  package func letGo() {
    if case .file(let bytes) = origin { madvise(pointer, bytes, MADV_DONTNEED) }
  }

  package convenience init(repeating value: Float = 0, count: Int) {
    self.init(uninitialized: count)
    pointer.update(repeating: value, count: count)
  }

  package convenience init(_ elements: [Float]) {
    self.init(uninitialized: elements.count)
    elements.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { pointer.update(from: base, count: count) }
    }
  }

  /// Makes a buffer whose elements the closure writes, before anyone else can see it.
  package convenience init<Failure: Error>(
    count: Int, initializingWith body: (inout MutableSpan<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    self.init(uninitialized: count)
    var span = MutableSpan(_unsafeStart: pointer, count: count)
    try body(&span)
  }

  /// Lends the elements for reading.
  package func withSpan<Result, Failure: Error>(
    _ body: (Span<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(Span(_unsafeStart: UnsafePointer(pointer), count: count))
  }

  /// Lends some elements for writing, by the code that made the buffer.
  package func withMutableSpan(_ range: Range<Int>, _ body: (inout MutableSpan<Float>) -> Void) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "Buffer: \(range) of \(count) elements")
    var span = MutableSpan(_unsafeStart: pointer + range.lowerBound, count: range.count)
    body(&span)
  }

  /// A copy of the elements.
  package var elements: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  package subscript(index: Int) -> Float {
    precondition(index >= 0 && index < count, "Buffer: index \(index) of \(count)")
    return pointer[index]
  }

  /// The elements as little-endian bytes.
  package var bytes: Data { Data(bytes: pointer, count: count * MemoryLayout<Float>.stride) }

  /// The first element that is no number or of larger magnitude than `limit`.
  package func firstIndex(beyond limit: Float) -> Int? {
    for index in 0..<count where !(abs(pointer[index]) <= limit) { return index }
    return nil
  }
}
