/// The lengths of a tensor's axes, outermost first.
public struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
  public let axes: [Int]

  public init(_ axes: [Int]) { self.axes = axes }
  public init(arrayLiteral axes: Int...) { self.axes = axes }

  /// Number of axes.
  public var rank: Int { axes.count }
  /// Number of elements.
  public var count: Int { axes.reduce(1, *) }
  public var last: Int { axes.last ?? 1 }

  /// The length of an axis; negative numbers count from the end.
  public subscript(axis: Int) -> Int { axes[axis < 0 ? axis + axes.count : axis] }

  /// The same shape with another length on one axis.
  package func replacing(_ axis: Int, with length: Int) -> Shape {
    var axes = axes
    axes[axis < 0 ? axis + axes.count : axis] = length
    return Shape(axes)
  }

  public var description: String { "[\(axes.map(String.init).joined(separator: ", "))]" }
}
