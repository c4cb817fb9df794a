package import Kernels

/// A differentiable function of tensors: its name, shape rule, value and gradient in one place.
///
/// The same value is what the tape keeps, what the exporter lowers and what a dry run counts.
package protocol Operation: Sendable {
  /// What the gradient needs of the computation.
  associatedtype Residuals: Sendable

  static var name: String { get }

  /// The output's shape.
  ///
  /// - Precondition: the inputs fit the operation; the message names it and the shapes.
  func shape(of inputs: [Shape]) -> Shape

  /// The value, written into `y`.
  func forward(_ x: [Tensor], into y: Buffer) -> Residuals

  /// Gradients of the inputs from that of the output; nil where `needed` is false or there is none.
  func pullback(_ dy: Buffer, _ residuals: Residuals, inputs: [Shape], needed: [Bool]) -> [Buffer?]

  /// Multiplications and additions of the forward pass.
  func floatingPointOperations(_ inputs: [Shape]) -> Int
}

extension Operation {
  package func floatingPointOperations(_ inputs: [Shape]) -> Int { 0 }

  /// Computes, and records if an input has a history.
  package func callAsFunction(_ inputs: Tensor...) -> Tensor { apply(inputs) }

  package func apply(_ inputs: [Tensor]) -> Tensor {
    let shapes = inputs.map(\.shape)
    let shape = shape(of: shapes)
    let records = Execution.records && inputs.contains { $0.node != nil }
    let nodes = inputs.map(\.node)
    guard Execution.computes else {
      let history = Node.History(
        operation: self, inputs: nodes, inputShapes: shapes, pullback: nil)
      return Tensor(
        shape: shape, storage: nil, node: Node(history, name: Self.name, shape: shape))
    }
    let y = Buffer(uninitialized: shape.count)
    let residuals = forward(inputs, into: y)
    if Execution.rounds { HalfPrecision.round(y) }
    guard records else { return Tensor(shape: shape, storage: y, node: nil) }
    let history = Node.History(operation: self, inputs: nodes, inputShapes: shapes) { dy, needed in
      pullback(dy, residuals, inputs: shapes, needed: needed)
    }
    return Tensor(shape: shape, storage: y, node: Node(history, name: Self.name, shape: shape))
  }
}

/// What applying an operation does beyond computing its value; scoped to a task, not global.
package enum Execution {
  @TaskLocal static var records = true
  @TaskLocal static var computes = true
  @TaskLocal static var recomputes = false
  @TaskLocal static var rounds = false
  @TaskLocal static var scope: RecomputationScope?
  @TaskLocal static var observer: (any WeightObserver)?

  /// Runs without recording: nothing is kept for gradients.
  package static func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    try $records.withValue(false, operation: body)
  }

  /// Runs so that ``recomputed(_:)`` blocks keep nothing inside and compute it again for the gradient.
  package static func recomputing<Result>(
    _ enabled: Bool, _ body: () throws -> Result
  ) rethrows -> Result {
    try $recomputes.withValue(enabled, operation: body)
  }

  /// Runs with every operation's result rounded to half precision, as a device that stores activations in 16 bits would.
  package static func inHalfPrecision<Result>(
    _ enabled: Bool, _ body: () throws -> Result
  ) rethrows -> Result {
    try $rounds.withValue(enabled, operation: body)
  }

  /// Runs on shapes alone: no elements are computed, every operation is recorded.
  package static func tracing<Result>(_ body: () throws -> Result) rethrows -> Result {
    try $computes.withValue(false, operation: body)
  }
}
