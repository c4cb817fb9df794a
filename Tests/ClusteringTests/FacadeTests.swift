import Clustering
import Foundation
import Kernels
import Testing

@Suite struct WeightHistogramTests {
  @Test func countsDistinctHalves() throws {
    let weights: [Float] = [1, -0.0, 0, -2, 1, 1.0001, 65504, -2, 6e-8]
    let histogram = try WeightHistogram(Buffer(weights), prescale: .none)
    #expect(histogram.values == [-2, 0, 0x1p-24, 1, 65504])
    #expect(histogram.masses == [2, 2, 1, 3, 1])
    let y = Buffer(uninitialized: weights.count)
    histogram.gather(histogram.values, into: y)
    #expect(y.elements == weights.map { HalfPrecision.round($0) })
    #expect(histogram.scatter(Buffer([1, 2, 4, 8, 16, 32, 64, 128, 256])) == [136, 6, 256, 49, 64])
  }

  @Test func refusesWhatIsNotFinite() {
    #expect(throws: ClusteringError.nonFiniteWeights(count: 3, firstIndex: 2)) {
      try WeightHistogram(Buffer([1, 2, .infinity, .nan, -1e9]))
    }
    #expect(throws: ClusteringError.emptyTensor) { try WeightHistogram(Buffer([])) }
  }

  @Test func rangesLeaveTheRestAlone() throws {
    let weights = Buffer((0..<100).map { Float($0) })
    let histogram = try WeightHistogram(weights, range: 10..<20)
    #expect(histogram.values == (10..<20).map(Double.init))
    let y = Buffer(repeating: -1, count: 100)
    histogram.gather(histogram.values.map { 2 * $0 }, into: y)
    #expect(y.elements == (0..<100).map { (10..<20).contains($0) ? Float(2 * $0) : -1 })
    #expect(histogram.gather([UInt8](0..<10)) == [UInt8](0..<10))
  }

  /// Tiny weights keep their resolution, and scaling by a power of two changes nothing else.
  @Test func prescale() throws {
    let numbers = normalNumbers(3000, deviation: 0.02)
    let usual = try WeightHistogram(Buffer(numbers.map(Float.init)))
    #expect(usual.scale == 1)
    let larger = try WeightHistogram(Buffer(numbers.map(Float.init)), prescale: .exponent(1))
    let tiny = try WeightHistogram(Buffer(numbers.map { Float($0 * 0x1p-20) }))
    #expect(tiny.scale == 0x1p21)
    #expect(tiny.values.map { $0 * 0x1p20 } == larger.values && tiny.masses == larger.masses)
    let vanishing = try WeightHistogram(Buffer(numbers.map { Float($0 * 0x1p-60) }))
    #expect(vanishing.values.count == larger.values.count)
    let constant = try WeightHistogram(Buffer([Float](repeating: 0, count: 9)))
    #expect(constant.values == [0] && constant.variance == 0)
  }

  /// Above two million weights, parts are counted and summed apart.
  @Test func largeTensors() throws {
    let count = 2_300_007
    var state: UInt32 = 1
    let weights = Buffer(
      (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return Float(Int32(bitPattern: state) >> 16) / 8192
      })
    let histogram = try WeightHistogram(weights)
    #expect(histogram.total == Double(count))
    let sums = histogram.scatter(weights)
    let y = Buffer(uninitialized: count)
    histogram.gather(histogram.values, into: y)
    let half = HalfPrecision.rounded(weights)
    #expect(y.elements == half.elements)
    #expect(abs(sums.reduce(0, +) - weights.elements.reduce(0) { $0 + Double($1) }) < 1e-6)
  }
}

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
