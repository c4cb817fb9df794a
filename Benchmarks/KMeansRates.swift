internal import ArgumentParser
internal import Clustering
internal import Foundation
internal import Kernels

/// Seconds that exact one-dimensional k-means of a tensor takes, and the error it leaves.
struct KMeansRates: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kmeans", abstract: "Measure optimal palettes of one tensor of normal half-precision weights.",
    discussion: "Benchmarks/peers/coremltools_kmeans.py does the same to the file that --weights writes.")

  @Option(help: "Weights in the tensor.")
  var count = 1_000_000

  @Option(parsing: .upToNextOption, help: "Bits a weight.")
  var bits = [2, 4, 6, 8]

  @Option(help: "Runs of each; the median counts.")
  var runs = 5

  @OptionGroup var options: BenchmarkOutput

  @Option(help: "Where the weights go, as 32-bit floats that half precision holds.")
  var weights: String?

  private struct Rate: Encodable {
    let bits: Int
    /// From weights to palette and indices, on one thread.
    let seconds: Double
    /// Σ (w - ŵ)², entries not rounded.
    let squaredError: Double
  }

  func run() throws {
    let tensor = HalfPrecision.rounded(RandomWeights.normals(count, deviation: 0.02, seed: 4))
    if let weights {
      try tensor.elements.withUnsafeBytes { try Data($0).write(to: URL(filePath: weights)) }
    }
    let clock = ContinuousClock()
    var rates: [Rate] = []
    for bits in bits {
      var seconds: [Double] = []
      var squaredError = 0.0
      for _ in 0..<runs {
        let passed = try clock.measure {
          let histogram = try WeightHistogram(tensor)
          let solution = OptimalKMeans(histogram, clusters: 1 << bits)
          squaredError = solution.squaredError
          _ = NearestCentroid.assign(histogram.values, to: solution.centroids)
        }.components
        seconds.append(Double(passed.seconds) + Double(passed.attoseconds) * 1e-18)
      }
      rates.append(Rate(bits: bits, seconds: seconds.sorted()[runs / 2], squaredError: squaredError))
    }
    let lines = rates.map {
      String(format: "%ld bits: %.4f s, squared error %.9g", $0.bits, $0.seconds, $0.squaredError)
    }
    try options.show(rates, table: lines.joined(separator: "\n"))
  }
}
