internal import Kernels
package import Tensors

extension Tensor {
  /// `Σ factor · tensor`, of equal shapes; summed in double precision and rounded once.
  ///
  /// Latents are small: what counts here is that samplers lose nothing where large terms cancel.
  package static func combination(_ terms: (factor: Double, tensor: Tensor)...) -> Tensor {
    let shape = terms[0].tensor.shape
    precondition(terms.allSatisfy { $0.tensor.shape == shape }, "combination: \(terms.map(\.tensor.shape))")
    var sums = [Double](repeating: 0, count: shape.count)
    for (factor, tensor) in terms where factor != 0 {
      tensor.buffer.withSpan { elements in
        for index in 0..<shape.count { sums[index] += factor * Double(elements[index]) }
      }
    }
    return Tensor(shape, sums.map { Float($0) })
  }

  /// Every element cut to `−limit … limit`.
  func clamped(to limit: Double) -> Tensor {
    let limit = Float(limit)
    return Tensor(shape, elements.map { min(max($0, -limit), limit) })
  }
}
