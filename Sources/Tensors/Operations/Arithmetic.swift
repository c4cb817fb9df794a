package import Kernels

extension Tensor {
  /// The sum; the right side repeats along axes on which it has length 1.
  package static func + (x: Tensor, y: Tensor) -> Tensor { Arithmetic(operation: .add)(x, y) }
  package static func - (x: Tensor, y: Tensor) -> Tensor { Arithmetic(operation: .subtract)(x, y) }
  /// The element-wise product; the right side repeats along axes on which it has length 1.
  package static func * (x: Tensor, y: Tensor) -> Tensor { Arithmetic(operation: .multiply)(x, y) }
}

/// `z = x ∘ y`; where `y` repeats, its gradient is summed.
package struct Arithmetic: Operation {
  package static let name = "arithmetic"
  package let operation: Elementwise.Operator

  package func shape(of inputs: [Shape]) -> Shape {
    let (x, y) = (inputs[0], inputs[1])
    precondition(
      y.rank <= x.rank && zip(x.axes.reversed(), y.axes.reversed()).allSatisfy { $0 == $1 || $1 == 1 },
      "\(operation.rawValue): \(y) does not broadcast to \(x)")
    return x
  }

  package func forward(_ x: [Tensor], into z: Buffer) -> (x: Buffer, y: Buffer)? {
    combine(x[0].buffer, x[0].shape, operation, x[1].buffer, x[1].shape, into: z)
    return operation == .multiply ? (x[0].buffer, x[1].buffer) : nil
  }

  package func pullback(
    _ dz: Buffer, _ factors: (x: Buffer, y: Buffer)?, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    var dx = dz
    var dy = dz
    if let factors {
      dx = Buffer(uninitialized: dz.count)
      if needed[0] { combine(dz, inputs[0], .multiply, factors.y, inputs[1], into: dx) }
      dy = Buffer(uninitialized: dz.count)
      if needed[1] { Elementwise.combine(dz, .multiply, factors.x, into: dy) }
    } else if operation == .subtract, needed[1] {
      dy = Buffer(uninitialized: dz.count)
      Elementwise.scale(dz, by: -1, into: dy)
    }
    if needed[1], inputs[1] != inputs[0] {
      dy = Shaping.reduce(
        dy, shape: inputs[0].axes, to: aligned(inputs[1], to: inputs[0]))
    }
    return [needed[0] ? dx : nil, needed[1] ? dy : nil]
  }

  private func combine(
    _ x: Buffer, _ shape: Shape, _ operation: Elementwise.Operator, _ y: Buffer,
    _ other: Shape, into z: Buffer
  ) {
    if shape == other {
      Elementwise.combine(x, operation, y, into: z)
    } else {
      Shaping.combine(
        x, shape: shape.axes, operation, y, repeated: aligned(other, to: shape), into: z)
    }
  }

  /// The smaller shape with leading ones.
  private func aligned(_ shape: Shape, to larger: Shape) -> [Int] {
    [Int](repeating: 1, count: larger.rank - shape.rank) + shape.axes
  }
}
