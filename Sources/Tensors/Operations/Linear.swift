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

  package func forward(_ x: [Tensor], into y: Buffer) -> ConvolutionGeometry.Residuals {
    geometry(x.map(\.shape)).forward(x, into: y)
  }

  package func pullback(
    _ dy: Buffer, _ residuals: ConvolutionGeometry.Residuals, inputs: [Shape], needed: [Bool]
  ) -> [Buffer?] {
    geometry(inputs).pullback(dy, residuals, needed: needed)
  }

  package func floatingPointOperations(_ inputs: [Shape]) -> Int { geometry(inputs).operations }
}
