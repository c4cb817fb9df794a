internal import COpenBLAS

/// A matrix inside a buffer, row-major.
package struct Matrix: Sendable {
  package let buffer: Buffer
  /// Index of the first element.
  package let offset: Int
  /// Elements from one stored row to the next.
  package let stride: Int
  /// Whether the product reads the stored matrix transposed.
  package let transposed: Bool

  package init(_ buffer: Buffer, offset: Int = 0, stride: Int, transposed: Bool = false) {
    self.buffer = buffer
    self.offset = offset
    self.stride = stride
    self.transposed = transposed
  }

  /// Elements from the first to just behind the last of a stored `rows × columns` matrix.
  func end(rows: Int, columns: Int) -> Int {
    rows == 0 || columns == 0 ? offset : offset + (rows - 1) * stride + columns
  }
}

/// Dense products on OpenBLAS, which is held to one thread: the cores are split here.
package enum MatrixProduct {
  /// `c = a b + beta c`, `a` is `[m, k]` and `b` is `[k, n]` after their transpositions, `c` is `[m, n]`.
  ///
  /// Rows of `c` are split over the cores; columns, when there are few rows.
  ///
  /// - Complexity: 2 m n k FLOPs.
  package static func multiply(
    _ a: Matrix, _ b: Matrix, into c: Matrix, m: Int, n: Int, k: Int, alpha: Float = 1,
    beta: Float = 0
  ) {
    check(a, b, c, m: m, n: n, k: k)
    // Below about a million multiplications, waking a thread costs more than it saves.
    let grain = max(1, 1_000_000 / max(1, n * k))
    if m >= 128 || m >= n {
      Parallel.ranges(m, grain: grain, multiple: 16) { rows in
        block(a, b, c, rows: rows, columns: 0..<n, k: k, alpha: alpha, beta: beta)
      }
    } else {
      let grain = max(1, 1_000_000 / max(1, m * k))
      Parallel.ranges(n, grain: grain, multiple: 16) { columns in
        block(a, b, c, rows: 0..<m, columns: columns, k: k, alpha: alpha, beta: beta)
      }
    }
  }

  /// The same on the calling thread alone, for use inside a parallel region.
  package static func multiplyInline(
    _ a: Matrix, _ b: Matrix, into c: Matrix, m: Int, n: Int, k: Int, alpha: Float = 1,
    beta: Float = 0
  ) {
    check(a, b, c, m: m, n: n, k: k)
    block(a, b, c, rows: 0..<m, columns: 0..<n, k: k, alpha: alpha, beta: beta)
  }

  private static func check(_ a: Matrix, _ b: Matrix, _ c: Matrix, m: Int, n: Int, k: Int) {
    let aEnd = a.transposed ? a.end(rows: k, columns: m) : a.end(rows: m, columns: k)
    let bEnd = b.transposed ? b.end(rows: n, columns: k) : b.end(rows: k, columns: n)
    precondition(
      aEnd <= a.buffer.count && bEnd <= b.buffer.count
        && c.end(rows: m, columns: n) <= c.buffer.count && !c.transposed,
      "matrix product \(m)×\(k) by \(k)×\(n) reaches outside its buffers")
  }

  private static func block(
    _ a: Matrix, _ b: Matrix, _ c: Matrix, rows: Range<Int>, columns: Range<Int>, k: Int,
    alpha: Float, beta: Float
  ) {
    guard !rows.isEmpty, !columns.isEmpty else { return }
    _ = ProductLibrary.isReady
    let aStart = a.offset + rows.lowerBound * (a.transposed ? 1 : a.stride)
    let bStart = b.offset + columns.lowerBound * (b.transposed ? b.stride : 1)
    let cStart = c.offset + rows.lowerBound * c.stride + columns.lowerBound
    cblas_sgemm(
      CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
      b.transposed ? CblasTrans : CblasNoTrans, blasint(rows.count), blasint(columns.count),
      blasint(k), alpha, a.buffer.pointer + aStart, blasint(max(1, a.stride)),
      b.buffer.pointer + bStart, blasint(max(1, b.stride)), beta, c.buffer.pointer + cStart,
      blasint(max(1, c.stride)))
  }
}
