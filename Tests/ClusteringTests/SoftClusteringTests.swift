import Clustering
import Foundation
import Kernels
import Testing

@Suite struct SoftClusteringTests {
  let weights = Buffer(normalNumbers(20_000, deviation: 0.03).map(Float.init))
  let upstream = Buffer(normalNumbers(20_000, seed: 9).map(Float.init))

  /// Against double precision on the same rounded weights; the bounds are those of the coremltools
  /// suite.
  @Test(arguments: [ClusteringOptions.Gradient.unrolled, .implicit])
  func agreesWithDoublePrecision(gradient: ClusteringOptions.Gradient) throws {
    let elements = Elements(HalfPrecision.rounded(weights).elements.map(Double.init))
    for (bits, multiple) in [(1, 0.1), (2, 0.05), (4, 0.01), (6, 0.001)] {
      let tau = Temperature.relative(multiple, variance: elements.histogram.variance)
      var options = ClusteringOptions(bits: bits, temperature: tau, gradient: gradient)
      let start = OptimalKMeans(elements.histogram, clusters: 1 << bits).centroids.map(Float.init)
      let soft = try SoftClustering(weights: weights, centroids: start, options: options)
      options.precision = .double
      let exact = try DifferentiableKMeans(
        elements.histogram, centroids: start.map(Double.init), options: options)
      let softError = relativeError(
        soft.softWeights().elements.map(Double.init), elements.expanded(exact.table(elements.histogram)))
      let gradientError = relativeError(
        soft.pullback(upstream).elements.map(Double.init),
        elements.pullback(exact, upstream.elements.map(Double.init)))
      // A fixed point is solved to 1e-6 of σ, magnified by how slowly iterations approach it.
      #expect(softError < (gradient == .implicit ? 2e-4 : 1e-5), "\(bits) bits")
      #expect(gradientError < (gradient == .implicit ? 2e-3 : 1e-4), "\(bits) bits")
    }
  }

  @Test func repeatsBitForBit() throws {
    let options = ClusteringOptions(bits: 4, temperature: 1e-5)
    let start = OptimalKMeans(try WeightHistogram(weights), clusters: 16).centroids.map(Float.init)
    let runs = try (0..<2).map { _ in
      let soft = try SoftClustering(weights: weights, centroids: start, options: options)
      return [soft.softWeights().elements, soft.pullback(upstream).elements, soft.centroids]
    }
    #expect(runs[0] == runs[1])
  }

  @Test func straightThrough() throws {
    let options = ClusteringOptions(bits: 2, temperature: 1e-4, gradient: .straightThrough)
    let soft = try SoftClustering(
      weights: weights, centroids: [-0.05, -0.01, 0.01, 0.05], options: options)
    #expect(soft.pullback(upstream).elements == upstream.elements)
    let dx = Buffer(uninitialized: upstream.count)
    soft.pullback(upstream, into: dx)
    #expect(dx.elements == upstream.elements)
  }

  @Test func deadCentroidsComeBack() throws {
    let options = ClusteringOptions(bits: 2, temperature: 1e-5)
    let soft = try SoftClustering(
      weights: weights, centroids: [-0.02, 0.02, 5, -7], options: options)
    #expect(soft.centroids.allSatisfy { abs($0) < 0.2 })
    #expect(soft.centroids == soft.centroids.sorted() && Set(soft.centroids).count == 4)
  }

  @Test func refusesBadInput() {
    let good = ClusteringOptions(bits: 2, temperature: 1e-4)
    var bad = good
    bad.bits = 5
    #expect(throws: ClusteringError.unsupportedBits(5)) {
      try SoftClustering(weights: weights, centroids: [0, 1], options: bad)
    }
    bad = good
    bad.temperature = 0
    #expect(throws: ClusteringError.temperature(0)) {
      try SoftClustering(weights: weights, centroids: [0, 1], options: bad)
    }
    #expect(throws: ClusteringError.centroidCount(found: 5, allowed: 1...4)) {
      try SoftClustering(weights: weights, centroids: [0, 1, 2, 3, 4], options: good)
    }
    #expect(throws: ClusteringError.nonFiniteCentroid(index: 1)) {
      try SoftClustering(weights: weights, centroids: [0, .nan], options: good)
    }
  }
}
