/// The elements of a weight for one use: in memory, or made where a product reads them, a part at a time.
///
/// What a palette or a file in half precision stands for would otherwise be written to memory whole and read again.
package struct WeightElements: Sendable {
  /// Some elements as a matrix: element `first + row · pitch + column`.
  package struct Part: Sendable, Equatable {
    package let first, rows, columns, pitch: Int

    package init(first: Int, rows: Int = 1, columns: Int, pitch: Int = 0) {
      self.first = first
      // Rows that follow each other are one.
      (self.rows, self.columns) = columns == pitch ? (1, rows * columns) : (rows, columns)
      self.pitch = pitch
    }

    var count: Int { rows * columns }
    var end: Int { first + (rows - 1) * pitch + columns }

    /// Calls `body` with the elements of each row, and where they go.
    package func forEachRow(_ body: (Range<Int>, Int) -> Void) {
      for row in 0..<rows {
        let start = first + row * pitch
        body(start..<start + columns, row * columns)
      }
    }
  }

  /// Writes a part from a place on, its rows behind each other; called on many threads.
  package typealias Make = @Sendable (_ part: Part, _ into: Buffer, _ offset: Int) -> Void

  private enum Source {
    case memory(Buffer)
    case made(Make)
  }

  package let count: Int
  private let source: Source
  private let end: End?

  package init(_ buffer: Buffer) {
    count = buffer.count
    source = .memory(buffer)
    end = nil
  }

  /// - Parameter finally: called when nobody can ask for elements any more.
  package init(count: Int, making make: @escaping Make, finally: (@Sendable () -> Void)? = nil) {
    self.count = count
    source = .made(make)
    end = finally.map(End.init)
  }

  /// Does something when the last copy of its owner is gone.
  private final class End: Sendable {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    deinit { body() }
  }

  /// All of them.
  package var buffer: Buffer {
    if case .memory(let buffer) = source { return buffer }
    let buffer = Buffer(uninitialized: count)
    Parallel.ranges(count, grain: Self.grain, multiple: 64) { range in
      copy(Part(first: range.lowerBound, columns: range.count), into: buffer, at: range.lowerBound)
    }
    return buffer
  }

  /// These elements, each part written by `make`. Elements in memory are returned as they are, and `finally` is called at
  /// once.
  package func made(
    by make: @escaping @Sendable (WeightElements, Part, Buffer, Int) -> Void, finally: @escaping @Sendable () -> Void
  ) -> Self {
    guard case .made = source else {
      finally()
      return self
    }
    return WeightElements(count: count, making: { make(self, $0, $1, $2) }, finally: finally)
  }

  /// Writes a part from a place on, its rows behind each other.
  package func copy(_ part: Part, into y: Buffer, at offset: Int = 0) {
    check(part)
    precondition(offset >= 0 && offset + part.count <= y.count, "\(part) from \(offset) on in \(y.count) elements")
    switch source {
    case .made(let make): make(part, y, offset)
    case .memory(let buffer):
      part.forEachRow { range, row in y.copy(from: buffer, range, at: offset + row) }
    }
  }

  // MARK: Products

  /// Some rows of a length, behind each other in a buffer of their own.
  func rows(_ rows: Range<Int>, of length: Int) -> Buffer {
    let buffer = Buffer(uninitialized: rows.count * length)
    copy(Part(first: rows.lowerBound * length, columns: buffer.count), into: buffer)
    return buffer
  }

  /// Writes kernels of 3×3 for some outputs and inputs of so many: `[outputs, inputs, 3, 3]`.
  func copy(kernels outputs: Range<Int>, _ inputs: Range<Int>, of width: Int, into kernels: Buffer) {
    copy(
      Part(
        first: (outputs.lowerBound * width + inputs.lowerBound) * 9, rows: outputs.count, columns: inputs.count * 9,
        pitch: width * 9),
      into: kernels)
  }

  /// Elements below which threads do not share the making of a part.
  private static let grain = 1 << 16
  /// Elements that are made at a time: 512 KB, which stay in the second cache beside what a product packs.
  private static let pieceLimit = 128 << 10

  /// Rows or columns of so many elements each that a product takes at a time: all that lie in memory, and pieces of what
  /// is made.
  func pieces(_ rows: Range<Int>, of length: Int) -> [Range<Int>] {
    if case .memory = source { return [rows] }
    return rows.cut(most: Self.pieceLimit / max(1, length), multiple: 16)
  }

  /// Some rows and columns of the weight as a matrix of rows of `width`.
  func matrix(rows: Range<Int>, columns: Range<Int>, width: Int, transposed: Bool = false) -> Matrix {
    let first = rows.lowerBound * width + columns.lowerBound
    check(Part(first: first, rows: rows.count, columns: columns.count, pitch: width))
    if case .memory(let buffer) = source {
      return Matrix(buffer, offset: first, stride: width, transposed: transposed)
    }
    let buffer = Buffer(uninitialized: rows.count * columns.count)
    Parallel.ranges(rows.count, grain: max(1, Self.grain / max(1, columns.count))) { some in
      copy(
        Part(first: first + some.lowerBound * width, rows: some.count, columns: columns.count, pitch: width),
        into: buffer, at: some.lowerBound * columns.count)
    }
    return Matrix(buffer, stride: columns.count, transposed: transposed)
  }

  private func check(_ part: Part) {
    precondition(
      part.first >= 0 && part.rows >= 0 && part.columns >= 0 && (part.count == 0 || part.end <= count),
      "\(part) of \(count) elements of a weight")
  }
}
