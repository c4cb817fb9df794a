/// Which palette each tensor gets, so that all fit a budget and errors add up to the least: a knapsack with one choice
/// for each tensor, solved by dynamic programming over the budget.
///
/// Sizes are rounded up to a part of the budget, so that the solution always fits and is the best one but for that
/// rounding: one part in ``resolution`` for each tensor.
package struct BitAllocation: Sendable {
  package struct Choice: Sendable, Equatable {
    /// In bits, tables included.
    package let size: Int
    /// What the choice adds to the error; errors of several tensors add up.
    package let error: Double

    package init(size: Int, error: Double) {
      self.size = size
      self.error = error
    }
  }

  static let resolution = 50_000

  private let choices: [[Choice]]
  private let unit: Int
  /// The least error of the tensors up to one within each budget, in units.
  private let errors: [Double]
  /// For each tensor the choice taken at each budget.
  private let taken: [[UInt8]]

  /// - Parameters:
  ///   - choices: of each tensor, at least one and at most 255.
  ///   - budget: the largest that will be asked for, in bits.
  package init(_ choices: [[Choice]], budget: Int) {
    precondition(budget > 0 && choices.allSatisfy { (1...255).contains($0.count) }, "BitAllocation: no choice")
    self.choices = choices
    unit = max(1, budget / Self.resolution)
    let units = budget / unit
    var best = [Double](repeating: 0, count: units + 1)
    var taken: [[UInt8]] = []
    for options in choices {
      var next = [Double](repeating: .infinity, count: units + 1)
      var chosen = [UInt8](repeating: 0, count: units + 1)
      for (index, option) in options.enumerated() {
        let size = (option.size + unit - 1) / unit
        guard size <= units else { continue }
        for budget in size...units where best[budget - size] + option.error < next[budget] {
          next[budget] = best[budget - size] + option.error
          chosen[budget] = UInt8(index)
        }
      }
      best = next
      taken.append(chosen)
    }
    errors = best
    self.taken = taken
  }

  /// The choice of each tensor with the least error within the budget, or nil if nothing fits.
  package func best(within budget: Int) -> [Int]? {
    let units = min(errors.count - 1, budget / unit)
    return units >= 0 && errors[units] < .infinity ? choices(at: units) : nil
  }

  /// The choice of each tensor with the least size whose errors add up to no more, or nil if none do.
  package func smallest(withError limit: Double) -> [Int]? {
    errors.firstIndex { $0 <= limit }.map { choices(at: $0) }
  }

  private func choices(at units: Int) -> [Int] {
    var left = units
    var result: [Int] = []
    for index in choices.indices.reversed() {
      let choice = Int(taken[index][left])
      result.append(choice)
      left -= (choices[index][choice].size + unit - 1) / unit
    }
    return result.reversed()
  }
}
