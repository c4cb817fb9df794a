internal import Foundation

/// How pixels between pixels are made, as Pillow has them; widened where a picture shrinks.
package enum ResamplingFilter: Sendable {
  /// Three lobes of a windowed sinc.
  case lanczos
  /// Keys' cubic with a = −1/2.
  case bicubic

  /// Pixels that count on each side.
  fileprivate var support: Double { self == .lanczos ? 3 : 2 }

  fileprivate func weight(_ x: Double) -> Double {
    let x = abs(x)
    guard x < support else { return 0 }
    switch self {
    case .lanczos:
      guard x > 0 else { return 1 }
      let angle = Double.pi * x
      let wide = angle / 3
      return sin(angle) / angle * (sin(wide) / wide)
    case .bicubic:
      if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
      return ((-0.5 * x + 2.5) * x - 4) * x + 2
    }
  }
}

extension Picture {
  /// The picture at another size.
  package func resized(width: Int, height: Int, _ filter: ResamplingFilter = .lanczos) -> Picture {
    if width == self.width && height == self.height { return self }
    let rows = Self.weights(from: self.height, to: height, filter)
    let columns = Self.weights(from: self.width, to: width, filter)
    var narrow = [Double](repeating: 0, count: self.height * width * 3)
    for y in 0..<self.height {
      for (x, window) in columns.enumerated() {
        for (offset, weight) in window.weights.enumerated() {
          let from = (y * self.width + window.first + offset) * 3
          let to = (y * width + x) * 3
          for channel in 0..<3 { narrow[to + channel] += weight * Double(bytes[from + channel]) }
        }
      }
    }
    var result = [UInt8](repeating: 0, count: width * height * 3)
    for (y, window) in rows.enumerated() {
      for x in 0..<width * 3 {
        var sum = 0.0
        for (offset, weight) in window.weights.enumerated() {
          sum += weight * narrow[(window.first + offset) * width * 3 + x]
        }
        result[y * width * 3 + x] = UInt8(min(max(sum.rounded(), 0), 255))
      }
    }
    return Picture(width: width, height: height, bytes: result)
  }

  /// The middle of the picture in another shape and size.
  package func fitted(width: Int, height: Int, _ filter: ResamplingFilter = .lanczos) -> Picture {
    let scale = min(Double(self.width) / Double(width), Double(self.height) / Double(height))
    let columns = min(self.width, max(1, Int((Double(width) * scale).rounded())))
    let rows = min(self.height, max(1, Int((Double(height) * scale).rounded())))
    let (left, top) = ((self.width - columns) / 2, (self.height - rows) / 2)
    var part: [UInt8] = []
    for row in top..<top + rows {
      let start = (row * self.width + left) * 3
      part += bytes[start..<start + columns * 3]
    }
    return Picture(width: columns, height: rows, bytes: part).resized(width: width, height: height, filter)
  }

  private static func weights(
    from source: Int, to target: Int, _ filter: ResamplingFilter
  ) -> [(first: Int, weights: [Double])] {
    let ratio = Double(source) / Double(target)
    let scale = max(ratio, 1)
    return (0..<target).map { (index: Int) -> (first: Int, weights: [Double]) in
      let center: Double = (Double(index) + 0.5) * ratio
      let first: Int = max(0, Int(center - filter.support * scale + 0.5))
      let last: Int = max(first + 1, min(source, Int(center + filter.support * scale + 0.5)))
      var weights: [Double] = []
      for place in first..<last {
        let distance: Double = Double(place) + 0.5 - center
        weights.append(filter.weight(distance / scale))
      }
      let sum = weights.reduce(0.0, +)
      return (first, weights.map { $0 / sum })
    }
  }
}
