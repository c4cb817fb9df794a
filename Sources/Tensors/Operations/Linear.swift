package import Kernels

/// `y = x Wᵀ + b` on the last axis; the weight is `[outputs, inputs]`, the bias `[outputs]` and may be missing.
package struct Linear: Operation {
  package static let name = "linear"

  package init() {}

  private func geometry(_ inputs: [Shape]) -> ConvolutionGeometry {
    let (x, w) = (inputs[0], inputs[1])
    precondition(
      w.rank == 2 && x.last == w[1] && (inputs.count < 3 || inputs[2] == [w[0]]),
      "linear: input \(x), weight \(w), bias \(inputs.count < 3 ? "none" : "\(inputs[2])")")
    return ConvolutionGeometry(
      batch: 1, height: x.count / x.last, width: 1, inputs: w[1], outputs: w[0])
  }

  package func shape(of inputs: [Shape]) -> Shape {
    inputs[0].replacing(-1, with: geometry(inputs).outputs)
  }

  package func forward(_ x: [Tensor], into y: Buffer) -> (x: Buffer, weight: Buffer) {
    Convolution.forward(
      x[0].buffer, weight: x[1].buffer, bias: x.count > 2 ? x[2].buffer : nil, into: y,
      geometry(x.map(\.shape)))
    return (x[0].buffer, x[1].buffer)
  }

  package func pullback(
    _ dy: Buffer, _ saved: (x: Buffer, weight: Buffer), inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    let g = geometry(inputs)
    var gradients = [Buffer?](repeating: nil, count: inputs.count)
    if needed[0] {
      let dx = Buffer(uninitialized: saved.x.count)
      Convolution.inputGradient(dy, weight: saved.weight, into: dx, g)
      gradients[0] = dx
    }
    if needed[1] {
      let dw = Buffer(uninitialized: saved.weight.count)
      Convolution.weightGradient(saved.x, dy: dy, into: dw, g)
      gradients[1] = dw
    }
    if inputs.count > 2, needed[2] { gradients[2] = Rows.columnSums(dy, width: g.outputs) }
    return gradients
  }

  package func floatingPointOperations(_ inputs: [Shape]) -> Int { geometry(inputs).operations }
}
