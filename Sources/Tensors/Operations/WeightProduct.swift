package import Kernels

/// What convolutions and linears share: patches times a weight, plus a bias that may be missing.
extension ConvolutionGeometry {
  /// What the gradients need.
  package struct Residuals: Sendable {
    let x: Buffer
    let weight: @Sendable () -> WeightElements
    /// Who wants to see the gradient go through, and the weight's name.
    let observed: (observer: any WeightObserver, weight: String)?
  }

  /// - Parameter x: input, weight and perhaps bias.
  func forward(_ x: [Tensor], into y: Buffer) -> Residuals {
    let (input, weight) = (x[0].buffer, x[1].weight)
    Convolution.forward(input, weight: weight(), bias: x.count > 2 ? x[2].buffer : nil, into: y, self)
    let observed = Execution.observer.flatMap { observer in x[1].node.map { (observer: observer, weight: $0.name) } }
    return Residuals(x: input, weight: weight, observed: observed)
  }

  /// Gradients of input, weight and bias, where they are needed.
  func pullback(_ dy: Buffer, _ residuals: Residuals, needed: [Bool]) -> [Buffer?] {
    if let observed = residuals.observed {
      observed.observer.saw(observed.weight, input: residuals.x, gradient: dy, self)
    }
    var gradients = [Buffer?](repeating: nil, count: needed.count)
    if needed[0] {
      let dx = Buffer(uninitialized: residuals.x.count)
      Convolution.inputGradient(dy, weight: residuals.weight(), into: dx, self)
      gradients[0] = dx
    }
    if needed[1] {
      let dw = Buffer(uninitialized: outputs * inputs * kernelHeight * kernelWidth)
      Convolution.weightGradient(residuals.x, dy: dy, into: dw, self)
      gradients[1] = dw
    }
    if needed.count > 2, needed[2] { gradients[2] = Rows.columnSums(dy, width: outputs) }
    return gradients
  }
}
