package import Kernels

/// Sees what linears and convolutions are given, and the gradients of what they gave; see ``Execution/observed(by:_:)``.
package protocol WeightObserver: Sendable {
  /// - Parameters:
  ///   - weight: the name of the leaf that the weight is.
  ///   - input: what the layer reads.
  func read(_ weight: String, _ input: Buffer, _ geometry: ConvolutionGeometry)
  /// - Parameter gradient: of what the layer gave.
  func gave(_ weight: String, gradient: Buffer, _ geometry: ConvolutionGeometry)
}

extension Execution {
  /// Runs with somebody looking at every linear and convolution. Recomputed blocks are seen twice.
  package static func observed<Result>(
    by observer: any WeightObserver, _ body: () throws -> Result
  ) rethrows -> Result {
    try $observer.withValue(observer, operation: body)
  }
}
