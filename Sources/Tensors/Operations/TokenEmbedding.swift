package import Kernels

/// Rows of a table by token number: numbers `[batch, tokens]` and a table `[rows, features]` to
/// `[batch, tokens, features]`.
///
/// The numbers are an input, not part of the operation, so that a trace of a text encoder stands for every prompt.
package struct TokenEmbedding: Operation {
  package static let name = "token embedding"

  package init() {}

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs.count == 2 && inputs[0].rank == 2 && inputs[1].rank == 2,
      "token embedding: numbers \(inputs[0]) in a table of \(inputs[1])")
    return [inputs[0][0], inputs[0][1], inputs[1][1]]
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> [Int] {
    let rows = x[0].elements.map { Int($0) }
    precondition(
      rows.allSatisfy { $0 >= 0 && $0 < x[1].shape[0] },
      "token embedding: a number outside a table of \(x[1].shape)")
    Shaping.gather(x[1].buffer, rows: rows, width: x[1].shape[1], into: y)
    return rows
  }

  package func pullback(
    _ dy: Buffer, _ rows: [Int], inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    guard needed[1] else { return [nil, nil] }
    let dx = Buffer(uninitialized: inputs[1].count)
    Shaping.scatter(dy, rows: rows, width: inputs[1][1], into: dx)
    return [nil, dx]
  }
}

/// The first `count` rows of a table as one sequence: `[rows, features]` to `[1, count, features]`.
package struct LeadingRows: Operation {
  package static let name = "leading rows"
  package let count: Int

  package init(count: Int) { self.count = count }

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs[0].rank == 2 && count > 0 && count <= inputs[0][0],
      "leading rows: \(count) of \(inputs[0])")
    return [1, count, inputs[0][1]]
  }

  package func forward(_ x: [Tensor], into y: Buffer) {
    Shaping.gather(x[0].buffer, rows: Array(0..<count), width: x[0].shape[1], into: y)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: Void, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: inputs[0].count)
    Shaping.scatter(dy, rows: Array(0..<count), width: inputs[0][1], into: dx)
    return [dx]
  }
}

/// The state of one token of each prompt: states `[batch, tokens, features]` and numbers `[batch, tokens]` to
/// `[batch, features]`.
package struct TokenSelection: Operation {
  /// Which token is meant; the first such, and the first of all if there is none.
  package enum Rule: Sendable, Equatable {
    /// The largest number.
    case largest
    case number(Int)
  }

  package static let name = "token selection"
  package let rule: Rule

  package init(_ rule: Rule) { self.rule = rule }

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(
      inputs.count == 2 && inputs[0].rank == 3 && inputs[1].axes == Array(inputs[0].axes.prefix(2)),
      "token selection: states \(inputs[0]), numbers \(inputs[1])")
    return [inputs[0][0], inputs[0][2]]
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> [Int] {
    let tokens = x[1].shape[1]
    let numbers = x[1].elements
    let rows = (0..<x[1].shape[0]).map { sample in
      sample * tokens + place(in: numbers[sample * tokens..<(sample + 1) * tokens])
    }
    Shaping.gather(x[0].buffer, rows: rows, width: x[0].shape[2], into: y)
    return rows
  }

  private func place(in numbers: ArraySlice<Float>) -> Int {
    let wanted =
      switch rule {
      case .largest: numbers.max() ?? 0
      case .number(let number): Float(number)
      }
    return (numbers.firstIndex(of: wanted) ?? numbers.startIndex) - numbers.startIndex
  }

  package func pullback(
    _ dy: Buffer, _ rows: [Int], inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    guard needed[0] else { return [nil, nil] }
    let dx = Buffer(uninitialized: inputs[0].count)
    Shaping.scatter(dy, rows: rows, width: inputs[0][2], into: dx)
    return [dx, nil]
  }
}
