internal import CKernels
internal import Foundation

/// How pixels between pixels are made, widened where a picture shrinks (antialiasing).
package enum ResamplingFilter: String, Sendable, CaseIterable {
  /// Pillow's: the mean of what a pixel covers, whole pixels at its border.
  case box
  /// Pillow's: a triangle.
  case bilinear
  /// Pillow's: Keys' cubic with a = −1/2.
  case bicubic
  /// Pillow's: three lobes of a windowed sinc.
  case lanczos
  /// OpenCV's `INTER_AREA`: the mean of what a pixel covers, with parts of pixels at its border. Only for shrinking.
  case area

  /// Pixels that count on each side.
  private var support: Double {
    switch self {
    case .box, .area: 0.5
    case .bilinear: 1
    case .bicubic: 2
    case .lanczos: 3
    }
  }

  private func weight(_ x: Double) -> Double {
    switch self {
    case .box, .area: return x > -0.5 && x <= 0.5 ? 1 : 0
    case .bilinear: return max(0, 1 - abs(x))
    case .bicubic:
      let x = abs(x)
      guard x < 2 else { return 0 }
      return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2
    case .lanczos:
      guard x >= -3, x < 3 else { return 0 }
      guard x != 0 else { return 1 }
      let angle = Double.pi * x
      return sin(angle) / angle * (sin(angle / 3) / (angle / 3))
    }
  }

  /// What each target pixel is made of, along one axis.
  func windows(
    _ pixels: Range<Int>, from source: Int, to target: Int
  ) -> [(first: Int, weights: [Double])] {
    pixels.map { self == .area ? Self.cell($0, source, target) : window($0, source, target) }
  }

  private func window(_ index: Int, _ source: Int, _ target: Int) -> (first: Int, weights: [Double]) {
    let scale = Double(source) / Double(target)
    let widening = max(scale, 1)
    let center = (Double(index) + 0.5) * scale
    let first = max(Int(center - support * widening + 0.5), 0)
    let last = max(first + 1, min(Int(center + support * widening + 0.5), source))
    var weights = (first..<last).map { weight((Double($0) - center + 0.5) * (1 / widening)) }
    let sum = weights.reduce(0, +)
    if sum != 0 { weights = weights.map { $0 / sum } }
    return (first, weights)
  }

  /// The cell that a pixel covers; ends thinner than a thousandth of a pixel do not count.
  private static func cell(_ index: Int, _ source: Int, _ target: Int) -> (first: Int, weights: [Double]) {
    let scale = Double(source) / Double(target)
    let start = Double(index) * scale
    let end = start + scale
    let cell = min(scale, Double(source) - start)
    let last = min(Int(end.rounded(.down)), source - 1)
    let first = min(Int(start.rounded(.up)), last)
    var weights = [Double](repeating: 1 / cell, count: last - first)
    var place = first
    if Double(first) - start > 1e-3 {
      place -= 1
      weights.insert((Double(first) - start) / cell, at: 0)
    }
    if end - Double(last) > 1e-3 { weights.append(min(end - Double(last), 1, cell) / cell) }
    return (place, weights)
  }
}

/// The windows of one axis as the kernels take them.
struct AxisWindows: Sendable {
  private let first, counts, integers: [Int32]
  private let floats: [Float]
  private let stride: Int
  /// The source pixels that they read.
  let reach: Range<Int>

  init(_ windows: [(first: Int, weights: [Double])]) {
    let stride = windows.map(\.weights.count).max() ?? 0
    first = windows.map { Int32($0.first) }
    counts = windows.map { Int32($0.weights.count) }
    let weights = windows.flatMap { $0.weights + [Double](repeating: 0, count: stride - $0.weights.count) }
    // Rounded away from zero, in units of 2^-22.
    integers = weights.map { Int32($0 * 0x1p22 + ($0 < 0 ? -0.5 : 0.5)) }
    floats = weights.map { Float($0) }
    self.stride = stride
    reach = (windows.map(\.first).min() ?? 0)..<(windows.map { $0.first + $0.weights.count }.max() ?? 0)
  }

  func withWindows(_ body: (sd_windows) -> Void) {
    first.withUnsafeBufferPointer { first in
      counts.withUnsafeBufferPointer { counts in
        integers.withUnsafeBufferPointer { integers in
          floats.withUnsafeBufferPointer { floats in
            body(
              sd_windows(
                first: first.baseAddress, counts: counts.baseAddress, integers: integers.baseAddress,
                floats: floats.baseAddress, stride: stride))
          }
        }
      }
    }
  }
}
