import Distribution
import Kernels
import Testing

/// Who keeps which weight, and that a process alone sends nothing. Ranks as processes are in `RanksTests`.
@Suite struct OwnershipTests {
  private let weights = (0..<200).map { (name: "weight.\($0)", count: 1 + ($0 * 7919) % 5000) }

  @Test(arguments: [1, 2, 3, 8])
  func everyWeightHasOneOwnerAndLoadsAreEven(ranks: Int) {
    let ownership = Ownership(weights, ranks: ranks)
    let names = (0..<ranks).map(ownership.names)
    #expect(names.flatMap(\.self).sorted() == weights.map(\.name).sorted())
    let counts = Dictionary(uniqueKeysWithValues: weights.map { ($0.name, $0.count) })
    let loads = names.map { $0.reduce(0) { $0 + counts[$1]! } }
    // Whoever has most had least before its last weight came, and the smallest come last.
    #expect(loads.max()! - loads.min()! <= 5000, "\(loads)")
    #expect(loads.max()! < loads.min()! + loads.max()! / 50, "\(loads)")
  }

  @Test func ownersDoNotDependOnTheOrderOfWeights() {
    let (one, other) = (Ownership(weights, ranks: 3), Ownership(weights.reversed(), ranks: 3))
    for (name, _) in weights { #expect(one.owner(of: name) == other.owner(of: name)) }
  }

  @Test func aloneEverySumIsWhatItWas() throws {
    let buffer = Buffer([1, 2, 3])
    #expect(try Ranks.alone.startSum(buffer, at: 0).result() === buffer)
    #expect(try Ranks.alone.sum([4, 5]) == [4, 5])
    let shared = try Ranks.alone.exchange(Ownership([("a", 3)], ranks: 1)) { _ in buffer }
    #expect(shared["a"] === buffer)
  }
}
