internal import Foundation
internal import Kernels

/// How alike two sets of pictures are to CLIP, whose embeddings tell what is in a picture and not where its pixels are.
package struct EmbeddingSimilarity: Codable, Sendable, Equatable {
  /// Of each picture with the reference's of the same prompt and seed: the cosine of their embeddings, 1 of equal ones.
  package let cosine: Spread
  /// The maximum mean discrepancy between both sets of pictures, times 1000, 0 of equal sets; it needs many pictures.
  ///
  /// CMMD (Jayasumana et al. 2024, section 4): embeddings of length 1, a Gaussian kernel of deviation 10, all pairs.
  package let maximumMeanDiscrepancy: Double

  /// - Parameter pictures, references: embeddings, as many of both and none of them zero.
  package init(_ pictures: [[Float]], references: [[Float]]) {
    precondition(
      pictures.count == references.count && !pictures.isEmpty,
      "embeddings of \(pictures.count) and \(references.count) pictures")
    let (own, other) = (pictures.map(Self.normalized), references.map(Self.normalized))
    cosine = Spread(zip(own, other).map(Self.dot))
    maximumMeanDiscrepancy =
      1000 * (Self.meanKernel(own, own) + Self.meanKernel(other, other) - 2 * Self.meanKernel(own, other))
  }

  private static func normalized(_ x: [Float]) -> [Double] {
    let length = x.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    return x.map { Double($0) / max(1e-12, length) }
  }

  private static func dot(_ x: [Double], _ y: [Double]) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }

  /// exp(-|x - y|² / 2σ²), over all pairs.
  private static func meanKernel(_ x: [[Double]], _ y: [[Double]]) -> Double {
    let rows = Parallel.map(x.count) { row in
      y.reduce(0.0) { sum, other in
        let squared = zip(x[row], other).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        return sum + exp(-squared / (2 * 10 * 10))
      }
    }
    return rows.reduce(0, +) / Double(x.count * y.count)
  }
}
