internal import Kernels

extension Tensor {
  /// Samples by number along the first axis, without a history.
  package func rows(_ numbers: [Int]) -> Tensor {
    let width = shape.count / max(1, shape[0])
    let y = Buffer(uninitialized: numbers.count * width)
    Shaping.gather(buffer, rows: numbers, width: width, into: y)
    return Tensor(shape.replacing(0, with: numbers.count), y)
  }

  /// Tensors one behind the other along the first axis, without a history.
  package static func stacked(_ parts: [Tensor]) -> Tensor {
    let rows = parts.reduce(0) { $0 + $1.shape[0] }
    let elements = parts.flatMap(\.elements)
    return Tensor(parts[0].shape.replacing(0, with: rows), elements)
  }
}
