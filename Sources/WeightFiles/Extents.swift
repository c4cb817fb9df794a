/// Extents as files claim them.
enum Extents {
  /// More elements than any weight has, and few enough that sizes in bytes are counted without overflow.
  private static let mostElements = 1 << 48

  /// How many elements a tensor has.
  ///
  /// Extents beside a zero count too: readers multiply some of them alone.
  ///
  /// - Returns: nil where extents are negative, too many, or too large.
  static func count(_ shape: [Int]) -> Int? {
    guard shape.count <= 64 else { return nil }
    var product = 1
    for extent in shape {
      guard extent >= 0 else { return nil }
      let (next, isLarge) = product.multipliedReportingOverflow(by: max(1, extent))
      guard !isLarge, next <= mostElements else { return nil }
      product = next
    }
    return shape.contains(0) ? 0 : product
  }
}
