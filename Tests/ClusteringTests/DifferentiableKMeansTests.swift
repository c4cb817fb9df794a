import Clustering
import Foundation
import Kernels
import Testing

@Suite struct DifferentiableKMeansTests {
  /// Central differences of L = Σ g w̃ weight by weight, so that splitting a row's weight off is
  /// covered. The difference itself is good to about 1e-8.
  @Test(
    arguments: [ClusteringOptions.Readout.fresh, .previous],
    [SoftAttention.Distance.squared, .absolute])
  func finiteDifferences(
    readout: ClusteringOptions.Readout, distance: SoftAttention.Distance
  ) throws {
    for variant in [nil, SoftAttention.Variant(floor: 1e-3, offset: 0.02, offsetColumn: 1)] {
      let options = ClusteringOptions(
        bits: 2, temperature: 0.2, distance: distance, readout: readout, precision: .double,
        variant: variant)
      try checkDifferences(options, tolerance: 1e-6)
    }
  }

  @Test(arguments: [SoftAttention.Distance.squared, .absolute])
  func finiteDifferencesOfTheFixedPoint(distance: SoftAttention.Distance) throws {
    let options = ClusteringOptions(
      bits: 2, temperature: 0.2, distance: distance, gradient: .implicit, precision: .double)
    try checkDifferences(options, tolerance: 1e-5)
  }

  private func checkDifferences(_ options: ClusteringOptions, tolerance: Double) throws {
    // Rounded to sixteenths, so that many weights share a row.
    let weights = normalNumbers(40).map { ($0 * 16).rounded() / 16 + 0.01 }
    let upstream = normalNumbers(40, seed: 2)
    let start = [-1.3, 0.1, -0.6, 0.9]
    func loss(_ weights: [Double]) throws -> Double {
      let elements = Elements(weights)
      let solution = try DifferentiableKMeans(
        elements.histogram, centroids: start, options: options)
      return zip(elements.expanded(solution.table(elements.histogram)), upstream).map(*).reduce(0, +)
    }
    let elements = Elements(weights)
    let solution = try DifferentiableKMeans(elements.histogram, centroids: start, options: options)
    let gradient = elements.pullback(solution, upstream)
    let step = 1e-5
    let differences = try weights.indices.map { index in
      var moved = weights
      moved[index] += step
      let above = try loss(moved)
      moved[index] -= 2 * step
      return (above - (try loss(moved))) / (2 * step)
    }
    #expect(relativeError(gradient, differences) < tolerance, "\(options)")
  }

  /// Leaving out what lies 16 temperatures behind changes single precision results by no more than
  /// its rounding.
  @Test(arguments: [SoftAttention.Distance.squared, .absolute])
  func windowChangesNothing(distance: SoftAttention.Distance) throws {
    let weights = Buffer(normalNumbers(60_000, deviation: 0.02).map(Float.init))
    let histogram = try WeightHistogram(weights)
    let upstream = histogram.scatter(Buffer(normalNumbers(60_000, seed: 3).map(Float.init)))
    for (bits, multiple) in [(2, 0.1), (4, 0.01), (6, 0.001), (8, 0.0001)] {
      let start = OptimalKMeans(histogram, clusters: 1 << bits).centroids
      // Distances are compared at the same attention, so the absolute one takes the root of the
      // temperature.
      let tau = Temperature.relative(multiple, variance: histogram.variance)
      var options = ClusteringOptions(
        bits: bits, temperature: distance == .squared ? tau : 0.1 * tau.squareRoot(),
        distance: distance)
      let windowed = try DifferentiableKMeans(histogram, centroids: start, options: options)
      options.cutoff = .infinity
      let whole = try DifferentiableKMeans(histogram, centroids: start, options: options)
      options.precision = .double
      let exact = try DifferentiableKMeans(histogram, centroids: start, options: options)
      for other in [windowed, whole] {
        #expect(relativeError(other.table(histogram), exact.table(histogram)) < 2e-6)
        let gradient = other.gradient(histogram, upstream)
        let expected = exact.gradient(histogram, upstream)
        #expect(relativeError(gradient.gain, expected.gain) < 1e-4)
        #expect(relativeError(gradient.shared, expected.shared) < 1e-4)
      }
    }
  }

  @Test func deadCentroidsStay() throws {
    let histogram = WeightHistogram(values: [-1, -0.9, 0.9, 1], masses: [3, 1, 1, 3])
    let options = ClusteringOptions(bits: 2, temperature: 0.01, precision: .double)
    let solution = try DifferentiableKMeans(
      histogram, centroids: [-1, 1, 9], options: options)
    #expect(solution.centroids[2] == 9)
    let gradient = solution.gradient(histogram, [1, -1, 2, 0.5])
    #expect(gradient.shared.allSatisfy { $0.isFinite })
  }

  @Test func gainIsLimited() throws {
    let histogram = try WeightHistogram(Buffer(normalNumbers(5000).map(Float.init)))
    var options = ClusteringOptions(bits: 2, temperature: 0.005)
    let start = OptimalKMeans(histogram, clusters: 4).centroids
    let upstream = histogram.values.map { _ in 1.0 }
    let free = try DifferentiableKMeans(histogram, centroids: start, options: options)
    #expect(free.gradient(histogram, upstream).gain.max()! > 50)
    options.maximumGain = 5
    let limited = try DifferentiableKMeans(histogram, centroids: start, options: options)
    #expect(limited.gradient(histogram, upstream).gain.max()! == 5)
    #expect(limited.gradient(histogram, upstream).shared == free.gradient(histogram, upstream).shared)
  }

  /// Newton's steps reach the fixed point that plain iterations reach, with far fewer evaluations.
  @Test func newtonSavesIterations() throws {
    let histogram = try WeightHistogram(Buffer(normalNumbers(20_000).map(Float.init)))
    let start = OptimalKMeans(histogram, clusters: 16).centroids
    let attention = SoftAttention(
      values: histogram.values, centroids: start, temperature: 0.01, precision: .double)
    let fast = FixedPoint(attention, masses: histogram.masses, scale: histogram.variance)
    let slow = FixedPoint(
      attention, masses: histogram.masses, scale: histogram.variance, limit: 20_000, newton: false)
    let (a, b) = try (#require(fast), #require(slow))
    #expect(relativeError(a.centroids, b.centroids) < 1e-10)
    #expect(a.evaluations < 20 && b.evaluations > 100)
  }

  @Test func temperatures() {
    #expect(Temperature.annealed(from: 0.1, to: 0.001, step: 0, steps: 11) == 0.1)
    #expect(abs(Temperature.annealed(from: 0.1, to: 0.001, step: 5, steps: 11) - 0.01) < 1e-15)
    #expect(abs(Temperature.annealed(from: 0.1, to: 0.001, step: 10, steps: 11) - 0.001) < 1e-15)
    #expect(Temperature.relative(0.1, variance: 4) == 0.4)
  }

  /// At σ = 0.007 coremltools' absolute temperature lies above 2σ², a
  /// relative one does not.
  @Test func absoluteTemperatureCollapses() throws {
    let weights = Buffer(normalNumbers(20_000, deviation: 0.007).map(Float.init))
    let histogram = try WeightHistogram(weights)
    func after(_ options: ClusteringOptions) throws -> PaletteStatistics {
      var centroids = OptimalKMeans(histogram, clusters: 4).centroids
      for _ in 0..<400 {
        centroids = try DifferentiableKMeans(histogram, centroids: centroids, options: options)
          .centroids
      }
      return PaletteStatistics(histogram, centroids: centroids, bits: 2, tolerance: 0.01)
    }
    let absolute = try after(.coremltools(bits: 2))
    #expect(absolute.isCollapsed && absolute.signalToNoise < 1)
    let tau = Temperature.relative(0.1, variance: histogram.variance)
    let relative = try after(ClusteringOptions(bits: 2, temperature: tau))
    #expect(!relative.isCollapsed && relative.signalToNoise > 9)
  }
}
