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

  /// Each weight's value is the multiple of a power of two next to it, of which a standard deviation has about so many.
  @Test(arguments: [(512.0, 0.0), (1024, 0.0), (512, 1)])
  func evenSteps(steps: Double, mean: Double) throws {
    let weights = Buffer(normalNumbers(50_000, deviation: 0.03).map { Float(mean + $0) })
    let histogram = try WeightHistogram.even(weights, range: 0..<weights.count, steps: steps)
    let step = 1 / Double(histogram.scale)
    #expect(0.7 * steps < 0.03 / step && 0.03 / step < 1.42 * steps)
    let y = Buffer(uninitialized: weights.count)
    histogram.gather(histogram.values, into: y)
    #expect(zip(weights.elements, y.elements).allSatisfy { Double(abs($0 - $1)) <= step / 2 })
    #expect(histogram.values.allSatisfy { ($0 / step).rounded() == $0 / step })
    #expect(histogram.total == 50_000)
  }

  /// Where steps cannot be told by 16 bits, or have no width, weights are rounded to half precision.
  @Test func evenStepsThatDoNotReach() throws {
    func even(_ weights: [Float], steps: Double = 512) throws -> WeightHistogram {
      try .even(Buffer(weights), range: 0..<weights.count, steps: steps)
    }
    let usual = normalNumbers(3000, deviation: 0.02).map(Float.init)
    for (weights, steps) in [(usual + [4], 512.0), (usual, 4096), ([Float](repeating: 0.5, count: 9), 512)] {
      let half = try WeightHistogram(Buffer(weights))
      let found = try even(weights, steps: steps)
      #expect(found.values == half.values && found.masses == half.masses)
    }
    #expect(throws: ClusteringError.nonFiniteWeights(count: 1, firstIndex: 3000)) { try even(usual + [.infinity]) }
    #expect(throws: ClusteringError.nonFiniteWeights(count: 1, firstIndex: 0)) { try even([.nan] + usual) }
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
