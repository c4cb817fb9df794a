import Kernels
import Testing

/// Indices moved one by one under a quadratic error of two factors.
@Suite struct CoordinateDescentTests {
  private let rows = 7
  private let columns = 130

  /// A symmetric positive matrix: X Xᵀ of correlated numbers.
  private func factor(_ size: Int, seed: Int) -> Buffer {
    let x = numbers(size * (size + 3), seed: seed)
    var factor = [Float](repeating: 0, count: size * size)
    for i in 0..<size {
      for j in 0..<size {
        factor[i * size + j] = (0..<size + 3).reduce(0) { $0 + x[i * (size + 3) + $1] * x[j * (size + 3) + $1] }
        if i == j { factor[i * size + j] += 1 }
      }
    }
    return Buffer(factor)
  }

  private func error(_ lacking: Buffer, _ descent: CoordinateDescent) -> Double {
    zip(descent.product(lacking).elements, lacking.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) } / 2
  }

  private func lacking(_ weights: Buffer, _ values: Buffer) -> Buffer {
    Buffer(zip(weights.elements, values.elements).map { $0 - $1 })
  }

  /// Tables of all weights, of rows and of columns; blocks that end inside the matrix.
  @Test(arguments: [CoordinateDescent.Tables.Owner.all, .rows, .columns])
  func everyMoveLowersTheError(_ owner: CoordinateDescent.Tables.Owner) throws {
    let weights = Buffer(numbers(rows * columns, seed: 1).elements.map { 2 * $0 })
    let own: (Int) -> Float = { owner == .all ? 1 : 1 + 0.1 * Float($0 % 5) }
    let owners = owner == .all ? 1 : owner == .rows ? rows : columns
    let base: [Float] = [-1.5, -0.4, 0.5, 1.25]
    let tables = CoordinateDescent.Tables(
      owner, Buffer((0..<owners).flatMap { at in base.map { $0 * own(at) } }), entries: 4)
    func entry(_ place: Int, _ index: UInt8) -> Float {
      base[Int(index)] * own(owner == .rows ? place / columns : owner == .columns ? place % columns : 0)
    }
    var fixed = [Bool](repeating: false, count: rows * columns)
    for place in [0, 64, 500] { fixed[place] = true }
    let descent = CoordinateDescent(
      rowFactor: factor(rows, seed: 2), columnFactor: factor(columns, seed: 3), rows: rows, columns: columns,
      fixed: fixed)
    var indices = [UInt8](repeating: 2, count: rows * columns)
    let values = Buffer(indices.enumerated().map { entry($0, $1) })
    let residual = descent.product(lacking(weights, values))
    var errors = [error(lacking(weights, values), descent)]
    var moved = Int.max
    for _ in 0..<50 where moved > 0 {
      moved = descent.pass(values: values, indices: &indices, residual: residual, tables: tables)
      errors.append(error(lacking(weights, values), descent))
      #expect(values.elements == indices.enumerated().map { entry($0, $1) })
    }
    #expect(moved == 0 && errors.count > 3 && zip(errors, errors.dropFirst()).allSatisfy { $0 >= $1 * (1 - 1e-6) })
    #expect(errors[errors.count - 1] < errors[0] / 4, "\(errors)")
    #expect([0, 64, 500].allSatisfy { indices[$0] == 2 })
    let expected = descent.product(lacking(weights, values)).elements
    let scale = expected.map(abs).max() ?? 0
    #expect(zip(residual.elements, expected).allSatisfy { abs($0 - $1) < 1e-3 * max(1, scale) })

    // No weight alone can do better.
    let last = errors[errors.count - 1]
    for place in stride(from: 1, to: rows * columns, by: 13) where !fixed[place] {
      for index in 0..<UInt8(4) {
        let other = Buffer(values.elements)
        other.withMutableSpan(place..<place + 1) { $0[0] = entry(place, index) }
        #expect(error(lacking(weights, other), descent) >= last * (1 - 1e-5))
      }
    }
  }
}
