internal import Foundation
internal import Kernels
package import Pictures
package import Tensors

/// How alike two pictures or two tensors are.
package enum Similarity {
  /// `10 log₁₀(peak² / mean squared difference)`, in dB.
  ///
  /// - Parameter peak: the largest value there could be; of tensors the reference's largest magnitude if not given.
  package static func psnr(_ x: Tensor, reference: Tensor, peak: Double? = nil) -> Double {
    precondition(x.shape.count == reference.shape.count, "psnr: \(x.shape) and \(reference.shape)")
    let top = peak ?? reference.elements.reduce(0) { max($0, Double(abs($1))) }
    return Decibels.ratio(top * top, toError: meanSquaredDifference(x, reference))
  }

  package static func meanSquaredDifference(_ x: Tensor, _ y: Tensor) -> Double {
    Elementwise.sumOfSquaredDifferences(x.buffer, y.buffer) / Double(max(1, x.shape.count))
  }

  /// Of bytes, whose peak is 255, in dB.
  package static func psnr(_ x: Picture, reference: Picture) -> Double {
    precondition(x.bytes.count == reference.bytes.count, "psnr: pictures of two sizes")
    let sum = zip(x.bytes, reference.bytes).reduce(0.0) { sum, pair in
      let difference = Double(pair.0) - Double(pair.1)
      return sum + difference * difference
    }
    return Decibels.ratio(255 * 255, toError: sum / Double(x.bytes.count))
  }

  /// Apple's measure of mixed-bit palettes, whose peak is that of the tested tensor:
  ///
  ///     20 log₁₀((max |test| + 1e-5) / (root mean squared difference + 1e-10))
  ///
  /// ml-stable-diffusion, `report_correctness` and `mixed_bit_compression_pre_analysis.py`.
  package static func applePSNR(_ test: Tensor, reference: Tensor) -> Double {
    let top = test.elements.reduce(0) { max($0, Double(abs($1))) }
    let error = meanSquaredDifference(test, reference).squareRoot()
    return 20 * log10((top + 1e-5) / (error + 1e-10))
  }

  /// Structural similarity of the brightness (Wang et al. 2004): Gaussian windows of 11 pixels and deviation 1.5,
  /// constants 0.01 and 0.03, averaged over the windows that lie inside.
  package static func structure(_ x: Picture, _ y: Picture) -> Double {
    precondition(x.width == y.width && x.height == y.height, "structure: pictures of two sizes")
    let side = min(11, x.width, x.height)
    let window = gaussian(side)
    let (a, b) = (x.luminance.map { Double($0) }, y.luminance.map { Double($0) })
    func smooth(_ values: [Double]) -> [Double] {
      filtered(values, width: x.width, height: x.height, window)
    }
    let (meanA, meanB) = (smooth(a), smooth(b))
    let squareA = smooth(a.map { $0 * $0 })
    let squareB = smooth(b.map { $0 * $0 })
    let product = smooth(zip(a, b).map { $0 * $1 })
    var sum = 0.0
    for index in meanA.indices {
      let (mA, mB) = (meanA[index], meanB[index])
      let varianceA = squareA[index] - mA * mA
      let varianceB = squareB[index] - mB * mB
      let covariance = product[index] - mA * mB
      let brightness: Double = (2 * mA * mB + 1e-4) / (mA * mA + mB * mB + 1e-4)
      let contrast: Double = (2 * covariance + 9e-4) / (varianceA + varianceB + 9e-4)
      sum += brightness * contrast
    }
    return sum / Double(meanA.count)
  }

  private static func gaussian(_ side: Int) -> [Double] {
    let middle = Double(side - 1) / 2
    let raw = (0..<side).map { index -> Double in
      let distance = (Double(index) - middle) / 1.5
      return exp(-distance * distance / 2)
    }
    let sum = raw.reduce(0, +)
    return raw.map { $0 / sum }
  }

  /// Filters along both axes, only where the window lies inside.
  private static func filtered(
    _ values: [Double], width: Int, height: Int, _ window: [Double]
  ) -> [Double] {
    let (columns, rows) = (width - window.count + 1, height - window.count + 1)
    var across = [Double](repeating: 0, count: height * columns)
    for row in 0..<height {
      for column in 0..<columns {
        for (offset, weight) in window.enumerated() {
          across[row * columns + column] += weight * values[row * width + column + offset]
        }
      }
    }
    var result = [Double](repeating: 0, count: rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        for (offset, weight) in window.enumerated() {
          result[row * columns + column] += weight * across[(row + offset) * columns + column]
        }
      }
    }
    return result
  }
}

/// Figures over several runs.
package struct Spread: Codable, Sendable, Equatable {
  package let mean: Double
  /// Sample standard deviation; 0 of a single run.
  package let deviation: Double
  package let minimum: Double
  package let maximum: Double
  package let count: Int

  package init(_ values: [Double]) {
    let count = Double(max(1, values.count))
    let mean = values.reduce(0, +) / count
    self.mean = mean
    let squares = values.map { ($0 - mean) * ($0 - mean) }.reduce(0, +)
    deviation = values.count > 1 ? (squares / (count - 1)).squareRoot() : 0
    minimum = values.min() ?? 0
    maximum = values.max() ?? 0
    self.count = values.count
  }
}
