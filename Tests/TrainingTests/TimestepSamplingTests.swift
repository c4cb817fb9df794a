import Testing
import Training

@Suite struct TimestepSamplingTests {
  private func drawn(_ sampling: TimestepSampling) -> [Int] {
    (0..<20_000).map { sampling.timestep(at: (Float($0) + 0.5) / 20_000, of: 1000) }
  }

  @Test func uniformCoversAll() {
    let found = drawn(.uniform)
    #expect(Set(found).count == 1000 && found == found.sorted())
  }

  /// Beta(α, β) has mean α / (α + β) and variance αβ / ((α + β)² (α + β + 1)).
  @Test(arguments: [(3.0, 1.0), (1, 2), (2, 2)])
  func betaHasItsMoments(parameters: (Double, Double)) {
    let (a, b) = parameters
    let found = drawn(.beta(a, b)).map { (Double($0) + 0.5) / 1000 }
    let mean = found.reduce(0, +) / Double(found.count)
    let variance = found.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(found.count)
    #expect(abs(mean - a / (a + b)) < 2e-3)
    #expect(abs(variance - a * b / ((a + b) * (a + b) * (a + b + 1))) < 2e-3)
  }

  @Test func massesDecide() {
    let found = drawn(TimestepSampling(masses: [1, 0, 3, 0]))
    #expect(found.allSatisfy { $0 < 250 || (500..<750).contains($0) })
    #expect(found.count { $0 < 250 } == 5000)
  }
}
