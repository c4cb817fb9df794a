internal import CKernels

/// Indices of a weight matrix that lower ½ ⟨E, G E A⟩, E being what the weights lack, G a factor of rows and A one of
/// columns.
///
/// One weight after the other moves to the entry that lowers the error most while all others stay; what that does to the
/// error's gradient at all others is kept. Blocks of columns are finished before the rest hears of them, in one product
/// of matrices, as GPTQ (Frantar et al. 2023, section 3) does with its own updates.
package struct CoordinateDescent: Sendable {
  /// The entries that weights may have, ascending.
  package struct Tables: Sendable {
    package enum Owner: Sendable { case all, rows, columns }

    let owner: Owner
    /// One table, or one for each row or column. `[…, entries]`
    let values: Buffer
    let entries: Int

    package init(_ owner: Owner, _ values: Buffer, entries: Int) {
      self.owner = owner
      self.values = values
      self.entries = entries
    }
  }

  private let rows: Int
  private let columns: Int
  /// Symmetric. `[rows, rows]`
  private let rowFactor: Buffer
  /// Symmetric. `[columns, columns]`
  private let columnFactor: Buffer
  /// What stays as it is. `[rows, columns]`
  private let fixed: [Bool]?

  /// Columns that are finished before the others hear of them.
  private static let block = 64

  package init(rowFactor: Buffer, columnFactor: Buffer, rows: Int, columns: Int, fixed: [Bool]? = nil) {
    precondition(
      rowFactor.count == rows * rows && columnFactor.count == columns * columns
        && fixed?.count ?? rows * columns == rows * columns,
      "coordinate descent over \(rows)×\(columns): factors of \(rowFactor.count) and \(columnFactor.count)")
    self.rows = rows
    self.columns = columns
    self.rowFactor = rowFactor
    self.columnFactor = columnFactor
    self.fixed = fixed
  }

  /// `G x A`, a new matrix.
  ///
  /// - Complexity: 2 rows · columns · (rows + columns) FLOPs.
  package func product(_ x: Buffer) -> Buffer {
    let (left, both) = (Buffer(uninitialized: x.count), Buffer(uninitialized: x.count))
    MatrixProduct.multiply(
      Matrix(rowFactor, stride: rows), Matrix(x, stride: columns), into: Matrix(left, stride: columns), m: rows,
      n: columns, k: rows)
    MatrixProduct.multiply(
      Matrix(left, stride: columns), Matrix(columnFactor, stride: columns), into: Matrix(both, stride: columns),
      m: rows, n: columns, k: columns)
    return both
  }

  /// One pass over all weights.
  ///
  /// - Parameters:
  ///   - values: the entries that weights have, and then those that they move to. `[rows, columns]`
  ///   - indices: of these entries. `[rows, columns]`
  ///   - residual: ``product(_:)`` of what the weights lack; kept true. `[rows, columns]`
  /// - Returns: how many weights moved.
  /// - Complexity: 2 rows · columns² FLOPs, and 2 rows for every weight that moves.
  package func pass(
    values: Buffer, indices: inout [UInt8], residual: Buffer, tables: Tables
  ) -> Int {
    let owners = [.all: 1, .rows: rows, .columns: columns][tables.owner] ?? 0
    precondition(
      values.count == rows * columns && indices.count == values.count && residual.count == values.count
        && tables.values.count == owners * tables.entries && (1...256).contains(tables.entries),
      "coordinate descent over \(rows)×\(columns): \(values.count) values, \(indices.count) indices")
    var flips = 0
    for block in (0..<columns).cut(length: Self.block) {
      flips += indices.withUnsafeMutableBufferPointer { indices in
        finish(block, values, indices, residual, tables)
      }
    }
    return flips
  }

  private func finish(
    _ block: Range<Int>, _ values: Buffer, _ indices: UnsafeMutableBufferPointer<UInt8>, _ residual: Buffer,
    _ tables: Tables
  ) -> Int {
    let width = block.count
    let (own, entries, moved) = (
      Buffer(uninitialized: rows * width), Buffer(uninitialized: rows * width), Buffer(uninitialized: rows * width)
    )
    let factor = Buffer(uninitialized: width * width)
    var chosen = [UInt8](repeating: 0, count: rows * width)
    var stays = fixed.map { _ in [UInt8](repeating: 0, count: rows * width) }
    for row in 0..<rows {
      for column in 0..<width {
        let (from, to) = (row * columns + block.lowerBound + column, column * rows + row)
        own.pointer[to] = residual.pointer[from]
        entries.pointer[to] = values.pointer[from]
        chosen[to] = indices[from]
        if let fixed { stays?[to] = fixed[from] ? 1 : 0 }
      }
    }
    for row in 0..<width {
      let start = (block.lowerBound + row) * columns + block.lowerBound
      for column in 0..<width { factor.pointer[row * width + column] = columnFactor.pointer[start + column] }
    }
    let flips = withExtendedLifetime(tables.values) {
      sd_descend_columns(
        own.pointer, entries.pointer, &chosen, stays, moved.pointer, rows, width, rowFactor.pointer, factor.pointer,
        self.entries(tables, of: block))
    }
    guard flips > 0 else { return 0 }
    for row in 0..<rows {
      for column in 0..<width {
        let (to, from) = (row * columns + block.lowerBound + column, column * rows + row)
        values.pointer[to] = entries.pointer[from]
        indices[to] = chosen[from]
      }
    }
    MatrixProduct.multiply(
      Matrix(moved, stride: rows, transposed: true),
      Matrix(columnFactor, offset: block.lowerBound * columns, stride: columns),
      into: Matrix(residual, stride: columns),
      m: rows, n: columns, k: width, alpha: -1, beta: 1)
    return flips
  }

  private func entries(_ tables: Tables, of block: Range<Int>) -> sd_entries {
    let count = tables.entries
    let first = tables.owner == .columns ? block.lowerBound * count : 0
    return sd_entries(
      first: tables.values.pointer + first, row: tables.owner == .rows ? count : 0,
      column: tables.owner == .columns ? count : 0, count: Int32(count))
  }
}
