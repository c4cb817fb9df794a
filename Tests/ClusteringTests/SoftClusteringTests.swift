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

  /// Against double precision on weights that are not rounded, at temperatures of a run's first steps: soft weights are off
  /// by no more than twice what the weights are, which their slope makes of it, gradients by a fiftieth.
  @Test(arguments: [(2, 0.1), (4, 0.02), (6, 0.005)])
  func evenStepsAreFineEnough(bits: Int, multiple: Double) throws {
    let elements = Elements(weights.elements.map(Double.init))
    let tau = Temperature.relative(multiple, variance: elements.histogram.variance)
    var options = ClusteringOptions(bits: bits, temperature: tau, maximumGain: 10)
    let start = OptimalKMeans(elements.histogram, clusters: 1 << bits).centroids
    let steps = WeightHistogram.steps(entries: 1 << bits)
    let even = try WeightHistogram.even(weights, range: 0..<weights.count, steps: steps)
    let soft = try SoftClustering(even, of: weights, centroids: start.map(Float.init), options: options)
    options.precision = .double
    let exact = try DifferentiableKMeans(elements.histogram, centroids: start, options: options)
    let expected = elements.expanded(exact.table(elements.histogram))
    let rounded = Buffer(uninitialized: weights.count)
    even.gather(even.values, into: rounded)
    let rounding = distance(rounded.elements, weights.elements.map(Double.init))
    #expect(distance(soft.softWeights().elements, expected) < 2 * rounding)
    let gradient = elements.pullback(exact, upstream.elements.map(Double.init))
    let size = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(distance(soft.pullback(upstream).elements, gradient) < 0.02 * size)
  }

  private func distance(_ a: [Float], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }.squareRoot()
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
