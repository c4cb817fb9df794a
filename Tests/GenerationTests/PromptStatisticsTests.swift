import Generation
import Testing

/// What means over prompts are worth, against numbers worked out by hand.
@Suite struct PromptStatisticsTests {
  @Test func intervalsHoldTheMeanAndShrink() {
    let few = ConfidenceInterval(ofMean: [1, 2, 3, 4])
    #expect(few.low >= 1 && few.low < 2.5 && few.high > 2.5 && few.high <= 4)
    let many = ConfidenceInterval(ofMean: (0..<400).map { Double($0 % 4) + 1 })
    // The mean's standard error: 1.118 / 20, 1.96 of them either way.
    #expect(abs(many.high - many.low - 2 * 1.96 * 0.0559) < 0.02)
    #expect(ConfidenceInterval(ofMean: [7, 7, 7]) == ConfidenceInterval(ofMean: [7]))
  }

  /// Of the eight choices of signs of three equal differences two are as extreme.
  @Test func everyChoiceOfSignsOfFewPrompts() {
    #expect(PromptStatistics.signFlipProbability([1, 1, 1]) == 0.25)
    #expect(PromptStatistics.signFlipProbability([1, -1]) == 1)
    #expect(PromptStatistics.signFlipProbability([Double](repeating: 0.1, count: 10)) == 2.0 / 1024)
  }

  @Test func comparisonsTellWhatDiffers() {
    let prompts = 40
    let first = (0..<prompts).map { 20 + Double($0 % 7) }
    let better = PairedComparison(("a", first), ("b", first.enumerated().map { $1 + 0.5 + 0.1 * Double($0 % 3) }))
    #expect(better.isSignificant && abs(better.difference - 0.5975) < 1e-9 && better.interval.low > 0.5)
    let same = PairedComparison(("a", first), ("b", first.enumerated().map { $1 + ($0 % 2 == 0 ? 0.5 : -0.5) }))
    #expect(!same.isSignificant && abs(same.difference) < 1e-9 && same.interval.low < 0 && same.interval.high > 0)
    #expect(PairedComparison(("a", first), ("b", first)).probability == 1)
    // As many prompts as an integer has bits, and more.
    for count in [63, 64, 66] {
      #expect(PromptStatistics.signFlipProbability([Double](repeating: 1, count: count)) == 1.0 / 10_001)
    }
  }
}
