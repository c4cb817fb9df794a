internal import CKernels

/// A matrix `[rows, columns]` copied into panels of 16 columns, which products read without another copy.
struct Panels: Sendable {
  static let width = 16

  private let buffer: Buffer
  private let rows, columns: Int

  /// - Parameters:
  ///   - stride: Elements from one row to the next.
  ///   - columns: a multiple of ``width``.
  init(_ x: Buffer, offset: Int, stride: Int, rows: Int, columns: Int) {
    precondition(
      columns % Self.width == 0 && (rows == 0 || offset + (rows - 1) * stride + columns <= x.count),
      "panels of \(rows)×\(columns) from \(x.count) elements")
    (self.rows, self.columns) = (rows, columns)
    let buffer = Buffer(uninitialized: rows * columns)
    self.buffer = buffer
    Parallel.ranges(rows, grain: max(1, Elementwise.grain / max(1, columns))) { range in
      sd_pack_panels(
        x.pointer + offset, stride, rows, columns, range.lowerBound, range.upperBound, buffer.pointer)
    }
  }

  /// `c = a self` on the calling thread, plus `bias[first + i]` in row `i`; `a` is `[m, rows]`, `c` begins at `offset` and
  /// has rows `stride` apart.
  func multiplyInline(
    _ a: Buffer, m: Int, bias: Buffer?, from first: Int, into c: Buffer, offset: Int, stride: Int
  ) {
    precondition(m * rows <= a.count, "product \(m)×\(rows) of \(a.count) elements")
    check(m, bias, from: first, into: c, offset: offset, stride: stride)
    sd_product(
      m, columns, rows, a.pointer, rows, 1, panels, c.pointer + offset, stride, 0, bias.map { $0.pointer + first },
      sd_operands())
  }

  /// `c = aᵀ self` on the calling thread; `a` is `[rows, m]`.
  func multiplyInline(transposed a: Buffer, m: Int, into c: Buffer, offset: Int, stride: Int) {
    precondition(m * rows <= a.count, "product \(m)×\(rows) of \(a.count) elements")
    check(m, nil, from: 0, into: c, offset: offset, stride: stride)
    sd_product(m, columns, rows, a.pointer, 1, m, panels, c.pointer + offset, stride, 0, nil, sd_operands())
  }

  /// The same with all rows of `a`.
  func multiplyInline(_ a: PackedRows, bias: Buffer?, from first: Int, into c: Buffer, offset: Int, stride: Int) {
    precondition(a.columns == rows, "product of \(a.columns) columns and \(rows) rows")
    check(a.rows, bias, from: first, into: c, offset: offset, stride: stride)
    sd_packed_product(
      a.rows, columns, rows, a.buffer.pointer, panels, c.pointer + offset, stride, bias.map { $0.pointer + first })
  }

  private var panels: sd_panels { sd_panels(first: buffer.pointer, row: Self.width, panel: Self.width * rows) }

  private func check(_ m: Int, _ bias: Buffer?, from first: Int, into c: Buffer, offset: Int, stride: Int) {
    precondition(
      first >= 0 && (bias.map { first + m <= $0.count } ?? true)
        && (m == 0 || offset + (m - 1) * stride + columns <= c.count),
      "product of \(m) rows and \(columns) columns reaches outside its buffers")
  }
}

/// A matrix `[rows, columns]` whose rows lie together 24 at a time, column by column: for products with many ``Panels``.
struct PackedRows: Sendable {
  /// Rows that lie together.
  static let height = Int(SD_PACKED_ROWS)

  fileprivate let buffer: Buffer
  let rows, columns: Int

  init(_ x: Buffer, rows: Int, columns: Int) {
    precondition(rows * columns <= x.count, "packed rows of \(rows)×\(columns) from \(x.count) elements")
    (self.rows, self.columns) = (rows, columns)
    buffer = Buffer(uninitialized: (rows + Self.height - 1) / Self.height * Self.height * columns)
    sd_gather_panels(x.pointer, rows, columns, columns, 1, Self.height, 1, buffer.pointer)
  }
}
