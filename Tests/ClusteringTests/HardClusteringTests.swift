import Clustering
import Foundation
import Kernels
import Testing

@Suite struct HardClusteringTests {
  @Test func hardWeightsAndPullbacks() throws {
    let weights = Buffer([-1, -0.5, 0.25, 0.75, 2, 0.5])
    let hard = HardClustering(arranged: weights, PaletteLayout(shape: [6]), table: [1, -1, 0])
    // -0.5 and 0.5 are as near to two centroids: the lower value has it.
    #expect(hard.hardWeights().elements == [-1, -1, 0, 1, 1, 0])
    #expect(hard.indices == [1, 1, 2, 0, 0, 2])
    let dy = Buffer([1, 2, 4, 8, 16, 32])
    #expect(hard.entryPullback(dy).elements == [24, 3, 36])
    #expect(hard.refitted() == [1.375, -0.75, 0.375])
  }

  /// An entry that no weight is nearest to goes where the error is largest.
  @Test func emptyCells() {
    let weights = Buffer([-1, -0.5, 0.25, 0.75, 2, 0.5])
    let hard = HardClustering(arranged: weights, PaletteLayout(shape: [6]), table: [-1, 1, 50])
    #expect(hard.refitted() == [-0.75, 0.875, 2])
  }

  @Test(arguments: ClusteringOptions.supportedBits)
  func palettizedTensor(bits: Int) throws {
    let numbers = normalNumbers(6000, deviation: 0.02)
    let weights = Buffer(numbers.map(Float.init))
    let histogram = try WeightHistogram(weights)
    let optimal = OptimalKMeans(histogram, clusters: 1 << bits)
    let tensor = try palettized(weights, [60, 100], optimal, bits: bits)
    let values = tensor.entries.values
    #expect(values == values.sorted() && values.count == 1 << bits)
    let decoded = tensor.decoded().elements
    for (index, number) in numbers.enumerated() {
      let half = HalfPrecision.round(Float(number))
      let nearest = values.map { abs($0 - half) }.min()!
      #expect(abs(decoded[index] - half) == nearest)
    }
    let error = zip(decoded, numbers).reduce(0.0) { sum, pair in
      let difference = Double(pair.0) - pair.1
      return sum + difference * difference
    }
    // Rounding 256 centroids to half precision costs up to a few per cent.
    #expect(error < optimal.squaredError * 1.1)
    let statistics = PaletteStatistics(histogram, centroids: optimal.centroids, bits: bits)
    #expect(!statistics.isCollapsed && statistics.used == 1 << bits)
    #expect(abs(statistics.squaredError - optimal.squaredError) < 1e-9 * optimal.squaredError)
  }

  @Test func fewDistinctWeights() throws {
    let weights = Buffer([3, 3, -1, 3, 0.5])
    let histogram = try WeightHistogram(weights)
    let optimal = OptimalKMeans(histogram, clusters: 16)
    #expect(optimal.centroids == [-1, 0.5, 3] && optimal.squaredError == 0)
    let tensor = try palettized(weights, [5], optimal, bits: 4)
    #expect(tensor.entries.values == [-1, 0.5, 3] + [Float](repeating: 0, count: 13))
    #expect(tensor.decoded().elements == [3, 3, -1, 3, 0.5])
    let statistics = PaletteStatistics(histogram, centroids: optimal.centroids, bits: 4)
    #expect(statistics.expected == 3 && !statistics.isCollapsed)
    #expect(statistics.signalToNoise == .infinity)
  }

  private func palettized(
    _ weights: Buffer, _ shape: [Int], _ optimal: OptimalKMeans, bits: Int
  ) throws -> PalettizedTensor {
    let form = PaletteForm(bits: bits)
    return try PaletteElements(weights, form, form.layout(of: shape), scale: nil)
      .palettized(optimal.centroids.map(Float.init))
  }

  @Test func refitRevivesEmptyCells() {
    let histogram = WeightHistogram(
      values: [-4, -3, 0, 1, 6, 7], masses: [1, 1, 1, 1, 1, 1])
    let fitted = NearestCentroid.refit(histogram, [-3, -3, 50], rounds: 10)
    #expect(fitted == [-3.5, 0.5, 6.5])
  }

  @Test func flips() {
    #expect(PalettizedTensor.flipRate([0, 1, 2, 3], [0, 1, 3, 3]) == 0.25)
  }
}
