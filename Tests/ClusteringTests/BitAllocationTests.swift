import Clustering
import Testing

@Suite struct BitAllocationTests {
  private typealias Choice = BitAllocation.Choice

  /// Every combination, for comparison.
  private func combinations(_ choices: [[Choice]]) -> [(picks: [Int], size: Int, error: Double)] {
    choices.reduce([(picks: [], size: 0, error: 0)]) { partial, options in
      partial.flatMap { part in
        options.indices.map { (part.picks + [$0], part.size + options[$0].size, part.error + options[$0].error) }
      }
    }
  }

  @Test(arguments: [UInt64(1), 2, 3])
  func isTheBestOfAllCombinations(seed: UInt64) {
    let noise = normalNumbers(64, seed: seed).map(abs)
    let choices = (0..<6).map { tensor in
      [1, 2, 4, 8].enumerated().map { index, bits in
        Choice(size: bits * (tensor + 1) * 10, error: noise[tensor * 4 + index] / Double(bits * bits))
      }
    }
    let all = combinations(choices)
    for budget in [210, 333, 500, 1000, 1680] {
      let allocation = BitAllocation(choices, budget: budget)
      let expected = all.filter { $0.size <= budget }.map(\.error).min()
      let found = allocation.best(within: budget)
      let error = found.map { $0.enumerated().reduce(0.0) { $0 + choices[$1.offset][$1.element].error } }
      #expect(error.map { abs($0 - (expected ?? -1)) < 1e-12 } ?? (expected == nil))
    }
    let allocation = BitAllocation(choices, budget: 1680)
    let limit = 0.4
    let smallest = all.filter { $0.error <= limit }.map(\.size).min()
    let found = allocation.smallest(withError: limit)
    let size = found.map { $0.enumerated().reduce(0) { $0 + choices[$1.offset][$1.element].size } }
    #expect(size == smallest)
  }

  @Test func nothingFits() {
    let allocation = BitAllocation([[Choice(size: 100, error: 1)]], budget: 50)
    #expect(allocation.best(within: 50) == nil && allocation.smallest(withError: 2) == nil)
  }
}
