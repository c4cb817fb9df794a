/// The lengths of a tensor's axes, outermost first.
package struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
  package let axes: [Int]

  package init(_ axes: [Int]) { self.axes = axes }
  package init(arrayLiteral axes: Int...) { self.axes = axes }

  /// Number of axes.
  package var rank: Int { axes.count }
  /// Number of elements.
  package var count: Int { axes.reduce(1, *) }
  package var last: Int { axes.last ?? 1 }

  /// The length of an axis; negative numbers count from the end.
  package subscript(axis: Int) -> Int { axes[axis < 0 ? axis + axes.count : axis] }

  /// The same shape with another length on one axis.
  package func replacing(_ axis: Int, with length: Int) -> Shape {
    var axes = axes
    axes[axis < 0 ? axis + axes.count : axis] = length
    return Shape(axes)
  }

  package var description: String { "[\(axes.map(String.init).joined(separator: ", "))]" }
}
