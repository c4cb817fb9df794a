package import Kernels

extension Tensor {
  /// `y = x σ(x)`
  package func silu() -> Tensor { Activation(function: .silu)(self) }
  /// `y = ½ x (1 + erf(x / √2))` (Hendrycks & Gimpel 2016).
  package func gelu() -> Tensor { Activation(function: .geluErf)(self) }
  /// GELU with the tanh approximation.
  package func geluTanh() -> Tensor { Activation(function: .geluTanh)(self) }
  /// `y = x σ(1.702 x)`, CLIP's approximation of GELU.
  package func quickGELU() -> Tensor { Activation(function: .geluQuick)(self) }
  /// `y = f(x)` element by element.
  package func activated(_ function: Elementwise.Function) -> Tensor {
    Activation(function: function)(self)
  }
}

/// `y = f(x)` element by element, so `dx = dy f'(x)`.
package struct Activation: Operation {
  package static let name = "activation"
  package let function: Elementwise.Function

  package func shape(of inputs: [Shape]) -> Shape { inputs[0] }

  package func forward(_ x: [Tensor], into y: Buffer) -> Buffer {
    Elementwise.apply(function, x[0].buffer, into: y)
    return x[0].buffer
  }

  package func pullback(
    _ dy: Buffer, _ x: Buffer, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let dx = Buffer(uninitialized: x.count)
    Elementwise.gradient(of: function, x, dy: dy, into: dx)
    return [dx]
  }
}
