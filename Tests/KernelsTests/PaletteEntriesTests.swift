import Foundation
import Kernels
import Testing

/// Vectors as entries of tables, against the plain loops that they stand for; more of them than one piece holds.
@Suite struct PaletteEntriesTests {
  static let groups = 2, length = 70_001

  @Test(arguments: zip([1, 1, 1, 2, 3, 8], [1, 16, 200, 4, 256, 256])) func entries(dimension d: Int, entries: Int) {
    let vectors = Self.groups * Self.length
    let x = numbers(vectors * d)
    let table = numbers(Self.groups * entries * d, seed: 2)
    func distance(_ vector: Int, _ entry: Int) -> Double {
      let start = (vector / Self.length * entries + entry) * d
      return (0..<d).reduce(0) { sum, e in
        let difference = Double(x[vector * d + e]) - Double(table[start + e])
        return sum + difference * difference
      }
    }
    let nearest = PaletteEntries.nearest(x, table.elements, groups: Self.groups, vector: d)
    for vector in stride(from: 0, to: vectors, by: 97) {
      let least = (0..<entries).reduce(Double.infinity) { min($0, distance(vector, $1)) }
      #expect(distance(vector, Int(nearest[vector])) <= least * (1 + 1e-5) + 1e-12)
    }

    let y = PaletteEntries.gather(table, nearest, groups: Self.groups, vector: d)
    let (counts, sums) = PaletteEntries.cells(x, nearest, entries: entries, groups: Self.groups, vector: d)
    var expected = (counts: counts.map { _ in 0.0 }, sums: sums.map { _ in 0.0 })
    var isEqual = true
    for vector in 0..<vectors {
      let cell = vector / Self.length * entries + Int(nearest[vector])
      expected.counts[cell] += 1
      for e in 0..<d {
        expected.sums[cell * d + e] += Double(x[vector * d + e])
        isEqual = isEqual && y[vector * d + e] == table[cell * d + e]
      }
    }
    #expect(isEqual && counts == expected.counts)
    #expect(zip(sums, expected.sums).allSatisfy { abs($0 - $1) < 1e-9 })
  }

  /// Choices in proportion to the squared distance to the nearest entry so far, in more vectors than one piece holds.
  @Test func choices() {
    let (d, skipped) = (3, 1000)
    let x = numbers((skipped + Self.length) * d)
    let distances = NearestDistances(x, skipped..<skipped + Self.length, dimension: d)
    var expected = [Double](repeating: .infinity, count: Self.length)
    var chosen = 17
    for share in [0.3, 0.0, 0.999, 0.72] {
      let start = (skipped + chosen) * d
      let entry = (0..<d).map { x[start + $0] }
      for vector in 0..<Self.length {
        let square = (0..<d).reduce(0.0) { sum, e in
          let difference = Double(x[(skipped + vector) * d + e]) - Double(entry[e])
          return sum + difference * difference
        }
        expected[vector] = min(expected[vector], square)
      }
      chosen = distances.choose(after: entry, share)
      let target = share * expected.reduce(0, +)
      let before = expected[..<chosen].reduce(0, +)
      #expect(expected[chosen] > 0)
      #expect(before <= target * (1 + 1e-5) && before + expected[chosen] >= target * (1 - 1e-5))
    }
  }

  /// As many centroids and components as there may be, and a last group of lanes that is not full.
  ///
  /// Bounds: single precision over a thousand vectors; the read-out's gradient divides by the temperature besides.
  @Test(arguments: zip([256, 3, 2, 4, 2], [8, 5, 1, 1, 3])) func attention(centroids k: Int, dimension d: Int) {
    let count = 1003
    let temperature = 0.05
    let (x, dy) = (numbers(count * d), numbers(count * d, seed: 3))
    let (centroids, targets) = (numbers(k * d, seed: 4).elements, numbers(k * d, seed: 5).elements)
    let attention = VectorAttention(
      x, range: 0..<count, dimension: d, centroids: centroids, temperature: temperature)
    var expected = (
      sums: [Double](repeating: 0, count: k), moments: [Double](repeating: 0, count: k * d),
      mixed: [Double](repeating: 0, count: count * d), targets: [Double](repeating: 0, count: k * d),
      dx: [Double](repeating: 0, count: count * d), centroids: [Double](repeating: 0, count: k * d)
    )
    for i in 0..<count {
      func off(_ j: Int, _ e: Int) -> Double { Double(x[i * d + e]) - Double(centroids[j * d + e]) }
      let distances = (0..<k).map { j in (0..<d).reduce(0.0) { $0 + off(j, $1) * off(j, $1) } }
      let least = distances.min() ?? 0
      let weights = distances.map { exp((least - $0) / temperature) }
      let total = weights.reduce(0, +)
      let p = (0..<k).map { j in
        (0..<d).reduce(0.0) { $0 + Double(dy[i * d + $1]) * Double(targets[j * d + $1]) }
      }
      let mean = zip(weights, p).reduce(0) { $0 + $1.0 / total * $1.1 }
      for j in 0..<k {
        let a = weights[j] / total
        expected.sums[j] += a
        for e in 0..<d {
          expected.moments[j * d + e] += a * off(j, e)
          expected.mixed[i * d + e] += a * Double(targets[j * d + e])
          expected.targets[j * d + e] += a * Double(dy[i * d + e])
          let pull = a * (p[j] - mean) * 2 * off(j, e) / temperature
          expected.dx[i * d + e] -= pull
          expected.centroids[j * d + e] += pull
        }
      }
    }
    let moments = attention.moments()
    #expect(relativeError(Buffer(moments.sums.map { Float($0) }), expected.sums) < 1e-5)
    #expect(relativeError(Buffer(moments.moments.map { Float($0) }), expected.moments) < 1e-5)
    let (y, dx) = (Buffer(uninitialized: count * d), Buffer(uninitialized: count * d))
    attention.mix(targets, into: y)
    #expect(relativeError(y, expected.mixed) < 1e-5)
    let readout = attention.pullbackReadout(dy, targets: targets, bound: .infinity, into: dx)
    #expect(relativeError(Buffer(readout.targets.map { Float($0) }), expected.targets) < 1e-5)
    #expect(relativeError(dx, expected.dx) < 1e-4)
    #expect(relativeError(Buffer(readout.centroids.map { Float($0) }), expected.centroids) < 1e-4)

    func length(_ numbers: some Collection<Double>) -> Double { numbers.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let bound = 0.5
    let shortened = attention.pullbackReadout(dy, targets: targets, bound: bound, into: dx).shortened
    let limits = (0..<count).map { i in bound * length((0..<d).map { Double(dy[i * d + $0]) }) }
    let longer = (0..<count).count { length(expected.dx[$0 * d..<($0 + 1) * d]) > limits[$0] }
    #expect(readout.shortened == 0 && longer > 0 && abs(shortened - longer) <= 1)
    #expect((0..<count).allSatisfy { i in length((0..<d).map { Double(dx[i * d + $0]) }) <= limits[i] * (1 + 1e-5) })
  }
}
