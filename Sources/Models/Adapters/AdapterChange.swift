internal import Kernels
internal import WeightFiles

/// How an adapter changes one weight; factors are read when the weight is.
struct AdapterChange: Sendable {
  /// A sum over ranks, `left · right`: `[outputs, rank]` by `[rank, inputs · kernel]`.
  struct Product: Sendable {
    let left, right: String
    /// Tucker's core `[rank, rank, k, k]`; the right factor is then `[rank, inputs]`.
    var core: String?
    let rank: Int
    /// Whether the left factor is stored with the ranks first.
    var isLeftTurned = false
  }

  enum Form: Sendable {
    /// LoRA, LoCon: one product; LoHa: two, multiplied element by element.
    case products([Product])
    /// LoKr: `kron(first, second)`.
    case kronecker(first: Factor, second: Factor, extents: KroneckerExtents)
    /// (IA)³: the weight itself times `1 + factors` along its rows or columns.
    case factors(String, onInput: Bool)
    case difference(String)
  }

  /// A matrix: whole, or the product of two.
  enum Factor: Sendable {
    case whole(String)
    case product(Product)
  }

  struct KroneckerExtents: Sendable {
    /// Rows and columns of the first factor and of the second, and elements of a kernel.
    let rows1, columns1, rows2, columns2, kernel: Int
  }

  let source: any WeightSource
  let form: Form
  /// What the change is multiplied by: `alpha / rank`.
  let scale: Double
  /// DoRA's lengths of rows, or of columns.
  var magnitude: (name: String, isOfRows: Bool)?
  /// Columns of the change; a change of fewer than the weight has leaves the others as they are.
  let columns: Int

  /// The factors in memory.
  ///
  /// - Parameter strength: how strongly the change counts; with DoRA's lengths it counts afterwards.
  func prepared(strength: Double) throws -> Prepared {
    let scale = Float(scale) * (magnitude == nil ? Float(strength) : 1)
    let delta: Prepared.Delta =
      switch form {
      // Of several the scale counts once.
      case .products(let products):
        .products(try products.map { try matrices($0, scale: products.count == 1 ? scale : 1) })
      case .kronecker(let first, let second, let extents):
        .kronecker(try elements(first), try elements(second), extents)
      case .factors(let name, let onInput): .factors(try source.elements(name).buffer, onInput: onInput)
      case .difference(let name): .difference(try source.elements(name).buffer)
      }
    return Prepared(
      delta: delta, scale: scale, columns: columns,
      magnitude: try magnitude.map { (try source.elements($0.name).buffer, $0.isOfRows) })
  }

  private func elements(_ factor: Factor) throws -> Buffer {
    switch factor {
    case .whole(let name): return try source.elements(name).buffer
    case .product(let product):
      let matrix = try matrices(product, scale: 1)
      let y = Buffer(repeating: 0, count: matrix.rows * matrix.width)
      matrix.add(rows: 0..<matrix.rows, columns: 0..<matrix.width, into: y, at: 0, pitch: matrix.width)
      return y
    }
  }

  /// A product `[outputs, inputs · kernel]`, with Tucker's core multiplied in.
  private func matrices(_ product: Product, scale: Float) throws -> LowRank {
    var left = try source.elements(product.left).buffer
    var right = try source.elements(product.right).buffer
    let rank = product.rank
    if product.isLeftTurned { left = Self.turned(left, rows: rank) }
    if let name = product.core {
      let core = try source.elements(name).buffer
      let (inputs, kernel) = (right.count / rank, core.count / (rank * rank))
      let whole = Buffer(repeating: 0, count: rank * inputs * kernel)
      whole.withMutableSpan(0..<whole.count) { y in
        for i in 0..<rank {
          for j in 0..<rank {
            for input in 0..<inputs {
              let factor = right[j * inputs + input]
              for k in 0..<kernel { y[(i * inputs + input) * kernel + k] += core[(i * rank + j) * kernel + k] * factor }
            }
          }
        }
      }
      right = whole
    }
    return LowRank(left, right, rank: rank, scale: scale)
  }

  private static func turned(_ x: Buffer, rows: Int) -> Buffer {
    let columns = x.count / rows
    return Buffer((0..<columns).flatMap { column in (0..<rows).map { x[$0 * columns + column] } })
  }

  /// A change ready to be applied to any part of its weight.
  struct Prepared: Sendable {
    enum Delta: Sendable {
      case products([LowRank])
      case kronecker(Buffer, Buffer, KroneckerExtents)
      case factors(Buffer, onInput: Bool)
      case difference(Buffer)
    }

    let delta: Delta
    let scale: Float
    let columns: Int
    let magnitude: (lengths: Buffer, isOfRows: Bool)?

    /// Whether the change is one of the weight itself.
    var readsWeight: Bool { if case .factors = delta { true } else { false } }

    /// Adds the change of some rows and columns to `y`.
    ///
    /// - Parameters:
    ///   - weight: the same elements before the change, row by row, if ``readsWeight``.
    ///   - offset: where the elements begin, row by row, in `y`.
    func add(rows: Range<Int>, _ range: Range<Int>, weight: Buffer?, to y: Buffer, at offset: Int) {
      let pitch = range.count
      let range = range.clamped(to: 0..<columns)
      guard !range.isEmpty else { return }
      if case .products(let products) = delta, products.count == 1 {
        return products[0].add(rows: rows, columns: range, into: y, at: offset, pitch: pitch)
      }
      for (index, row) in rows.enumerated() {
        let start = index * pitch
        y.withMutableSpan(offset + start..<offset + start + range.count) { y in
          add(row: row, range, weight: weight, from: start, to: &y)
        }
      }
    }

    private func add(
      row: Int, _ range: Range<Int>, weight: Buffer?, from start: Int, to y: inout MutableSpan<Float>
    ) {
      switch delta {
      case .products(let products):
        let parts = products.map { product in
          let part = Buffer(repeating: 0, count: range.count)
          product.add(rows: row..<row + 1, columns: range, into: part, at: 0, pitch: range.count)
          return part
        }
        for index in 0..<range.count { y[index] += parts.reduce(scale) { $0 * $1[index] } }
      case .kronecker(let first, let second, let extents):
        let (row1, row2) = row.quotientAndRemainder(dividingBy: extents.rows2)
        for column in range {
          let (input, k) = column.quotientAndRemainder(dividingBy: extents.kernel)
          let (column1, column2) = input.quotientAndRemainder(dividingBy: extents.columns2)
          y[column - range.lowerBound] +=
            scale * first[row1 * extents.columns1 + column1]
            * second[(row2 * extents.columns2 + column2) * extents.kernel + k]
        }
      case .factors(let factors, let onInput):
        guard let weight else { return }
        let kernel = onInput ? columns / factors.count : 1
        for index in 0..<range.count {
          let factor = factors[onInput ? (range.lowerBound + index) / kernel : row]
          y[index] += scale * factor * weight[start + index]
        }
      case .difference(let difference):
        for index in 0..<range.count { y[index] += scale * difference[row * columns + range.lowerBound + index] }
      }
    }
  }
}
