internal import Foundation

/// Lines or points on two axes, as SVG.
struct Plot {
  struct Series {
    let name: String
    let colour: String
    let points: [(x: Double, y: Double)]
  }

  let series: [Series]
  let horizontal: String
  let vertical: String
  /// Whether the vertical axis is logarithmic; numbers that are not above 0 are left out.
  let isLogarithmic: Bool
  let isJoined: Bool

  private static let (left, top, width, height) = (64.0, 12.0, 560.0, 220.0)

  var svg: String {
    let shown = series.map { one in
      Series(
        name: one.name, colour: one.colour,
        points: one.points.compactMap { point in
          guard !isLogarithmic || point.y > 0 else { return nil }
          return (point.x, isLogarithmic ? log10(point.y) : point.y)
        })
    }
    let (columns, values) = (shown.flatMap { $0.points.map(\.x) }, shown.flatMap { $0.points.map(\.y) })
    let across = Self.range(columns)
    let up = Self.range(values)
    func place(_ point: (x: Double, y: Double)) -> (x: Double, y: Double) {
      let x = (point.x - across.lowerBound) / (across.upperBound - across.lowerBound)
      let y = (point.y - up.lowerBound) / (up.upperBound - up.lowerBound)
      return (Self.left + x * Self.width, Self.top + (1 - y) * Self.height)
    }
    var parts: [String] = []
    for (index, one) in shown.enumerated() {
      let places = one.points.map(place)
      if isJoined {
        let line = places.map { String(format: "%.1f,%.1f", $0.x, $0.y) }.joined(separator: " ")
        parts.append("<polyline fill='none' stroke='\(one.colour)' stroke-width='2' points='\(line)'/>")
      }
      parts += places.map {
        String(format: "<circle cx='%.1f' cy='%.1f' r='3' fill='%@'/>", $0.x, $0.y, one.colour as NSString)
      }
      parts.append(
        "<text x='\(Self.left + Self.width + 14)' y='\(24 + 18 * index)' fill='\(one.colour)'>\(HTMLPage.escaped(one.name))</text>"
      )
    }
    return "<svg viewBox='0 0 860 275' width='860' height='275'>" + axes(across, up) + parts.joined() + "</svg>"
  }

  private func axes(_ across: ClosedRange<Double>, _ up: ClosedRange<Double>) -> String {
    let (right, bottom) = (Self.left + Self.width, Self.top + Self.height)
    var parts = [
      "<path d='M\(Self.left) \(Self.top)V\(bottom)H\(right)' fill='none' stroke='#999'/>",
      "<text x='\(Self.left + Self.width / 2)' y='\(bottom + 34)' text-anchor='middle'>\(horizontal)</text>",
      "<text x='\(Self.left + 6)' y='\(Self.top + 4)'>\(vertical)</text>",
    ]
    for tick in 0...4 {
      let share = Double(tick) / 4
      let x = across.lowerBound + share * (across.upperBound - across.lowerBound)
      let y = up.lowerBound + share * (up.upperBound - up.lowerBound)
      let shown = isLogarithmic ? String(format: "%.1e", pow(10, y)) : String(format: "%.4g", y)
      parts.append(
        "<text x='\(Self.left + share * Self.width)' y='\(bottom + 16)' text-anchor='middle'>\(String(format: "%.4g", x))</text>"
      )
      parts.append(
        "<text x='\(Self.left - 6)' y='\(bottom - share * Self.height + 4)' text-anchor='end'>\(shown)</text>")
    }
    return parts.joined()
  }

  /// From the smallest to the largest, never empty.
  private static func range(_ values: [Double]) -> ClosedRange<Double> {
    let (low, high) = (values.min() ?? 0, values.max() ?? 1)
    guard high - low > 1e-12 * max(1, abs(high)) else { return (low - 1)...(low + 1) }
    let margin = (high - low) * 0.05
    // What cannot be negative is not shown as if it could.
    return (low >= 0 ? max(0, low - margin) : low - margin)...(high + margin)
  }
}
