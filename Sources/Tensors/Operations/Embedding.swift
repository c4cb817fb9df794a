package import Kernels

/// Rows of a table `[rows, features]` by number: `[numbers.count, features]`.
package struct Embedding: Operation {
  package static let name = "embedding"
  package let rows: [Int]

  package init(rows: [Int]) { self.rows = rows }

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs[0].rank == 2 && rows.allSatisfy { $0 >= 0 && $0 < inputs[0][0] },
      "embedding: a number outside a table of \(inputs[0])")
    return [rows.count, inputs[0][1]]
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    Shaping.gather(x[0].buffer, rows: rows, width: x[0].shape[1], into: y)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: inputs[0].count)
    Shaping.scatter(dy, rows: rows, width: inputs[0][1], into: dx)
    return [dx]
  }
}
