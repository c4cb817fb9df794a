package import Kernels

extension Tensor {
  /// The first half of the last axis times the GELU of the second half.
  package func geglu() -> Tensor { GEGLU()(self) }
}

/// `y = value ⊙ gelu(gate)` for `x = [value | gate]` on the last axis (Shazeer 2020; diffusers `GEGLU`).
package struct GEGLU: Operation {
  package static let name = "geglu"

  package func shape(of inputs: [Shape]) -> Shape {
    precondition(inputs[0].last % 2 == 0, "geglu: \(inputs[0]) has an odd last axis")
    return inputs[0].replacing(-1, with: inputs[0].last / 2)
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> Buffer {
    Elementwise.geglu(x[0].buffer, into: y, width: x[0].shape.last / 2)
    return x[0].buffer
  }

  package func pullback(
    _ dy: Buffer, _ x: Buffer, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: x.count)
    Elementwise.gegluGradient(x, dy: dy, into: dx, width: inputs[0].last / 2)
    return [dx]
  }
}
