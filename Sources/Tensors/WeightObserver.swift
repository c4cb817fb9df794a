package import Kernels

/// Sees what linears and convolutions read, and the gradients of what they gave; see ``Execution/observed(by:_:)``.
package protocol WeightObserver: Sendable {
  /// Called when the gradient goes through a layer.
  ///
  /// - Parameters:
  ///   - weight: the name of the leaf that the weight is.
  ///   - input: what the layer read.
  ///   - gradient: of what the layer gave.
  func saw(_ weight: String, input: Buffer, gradient: Buffer, _ geometry: ConvolutionGeometry)
}

extension Execution {
  /// Runs with somebody looking at every linear and convolution.
  package static func observed<Result>(
    by observer: any WeightObserver, _ body: () throws -> Result
  ) rethrows -> Result {
    try $observer.withValue(observer, operation: body)
  }
}
