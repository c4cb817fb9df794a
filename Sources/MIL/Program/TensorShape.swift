/// Products over shapes that a file may have made up.
package enum TensorShape {
  /// The most elements a tensor may have: 2³⁰, four gigabytes of floats.
  package static let limit = 1 << 30

  /// The number of elements, or `nil` when a dimension is negative or there are more than
  /// ``limit``.
  package static func count(_ shape: [Int]) -> Int? {
    // A zero anywhere empties the tensor, but the other dimensions must still be sane on their own.
    var count = 1
    var empty = false
    for dimension in shape {
      guard dimension >= 0, dimension <= limit else { return nil }
      if dimension == 0 {
        empty = true
        continue
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard !overflow, product <= limit else { return nil }
      count = product
    }
    return empty ? 0 : count
  }

  /// Elements from one index to the next along each axis of a row-major tensor.
  package static func strides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * shape[axis + 1]
    }
    return strides
  }
}
