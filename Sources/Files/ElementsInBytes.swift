/// Numbers in mapped bytes, little-endian as the machine and wherever they start.
extension RawSpan {
  /// - Precondition: the element lies inside the span.
  package func element<Element: BitwiseCopyable>(_ index: Int, as type: Element.Type) -> Element {
    let stride = MemoryLayout<Element>.stride
    // Sound for every number type: all bit patterns are values, and the load is bounds-checked.
    return unsafeLoadUnaligned(fromByteOffset: index * stride, as: type)
  }

  /// All elements, as many as fit.
  package func elements<Element: BitwiseCopyable>(as type: Element.Type) -> [Element] {
    let count = byteCount / MemoryLayout<Element>.stride
    var result: [Element] = []
    result.reserveCapacity(count)
    for index in 0..<count { result.append(element(index, as: type)) }
    return result
  }
}
