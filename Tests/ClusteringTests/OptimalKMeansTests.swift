import Clustering
import Testing
import WeightFiles

@Suite struct OptimalKMeansTests {
  /// Against a float64 dynamic programme. Bound 1e-9 of the error, and 1e-15 of Σw² because the
  /// reference's prefix sums lose that much; ours may be lower by it, never higher.
  @Test func references() throws {
    let file = try References.tensors("optimal_kmeans1d.safetensors")
    let tensors = try References.tensors("tensors.safetensors")
    var cases = 0
    for name in file.names where name.hasSuffix("/sse_f64") {
      let parts = name.split(separator: "/")
      guard parts.count == 3, let bits = Int(parts[1].dropFirst()) else { continue }
      cases += 1
      let tensor = String(parts[0])
      let weights =
        file.shape(of: "\(tensor)/w") != nil
        ? try file.doubles("\(tensor)/w") : try tensors.doubles(tensor)
      let elements = Elements(weights)
      let result = OptimalKMeans(elements.histogram, clusters: 1 << bits)
      let expected = try file.doubles(name)[0]
      let centroids = try file.doubles("\(tensor)/\(parts[1])/centroids_f64")
      let power = weights.reduce(0) { $0 + $1 * $1 }
      let lost = 1e-15 * power
      References.report(
        "dkm/optimal_kmeans1d \(tensor)/b\(bits) sse",
        error: max(0, abs(result.squaredError - expected) - lost) / max(expected, 1e-300),
        bound: 1e-9)
      // Several partitions may be as good; then centroids differ and the error does not.
      if abs(result.squaredError - expected) <= lost, result.centroids.count == centroids.count,
        relativeError(result.centroids, centroids) > 1e-9
      {
        print("dkm/optimal_kmeans1d \(tensor)/b\(bits): another partition, same error")
        continue
      }
      References.report(
        "dkm/optimal_kmeans1d \(tensor)/b\(bits) centroids",
        error: relativeError(result.centroids, centroids), bound: 1e-9)
    }
    #expect(cases > 0)
  }

  @Test func bruteForce() {
    for seed in 1...30 as ClosedRange<UInt64> {
      let count = 2 + Int(seed % 9)
      let values = Set(normalNumbers(count, seed: seed)).sorted()
      let masses = normalNumbers(count, seed: seed + 100).map { abs($0) + 0.1 }
      for clusters in 1...count {
        let result = OptimalKMeans(values: values, masses: masses, clusters: clusters)
        let best = least(values, masses, from: 0, cells: clusters)
        #expect(abs(result.squaredError - best) <= 1e-12 * (1 + best))
        #expect(result.starts.count == clusters && result.starts[0] == 0)
      }
    }
  }

  /// Many cells of many values, where the search by penalties takes over, against a plain dynamic programme; also with
  /// values in even steps, of which many partitions are as good.
  @Test(arguments: [8, 16, 32])
  func manyCells(clusters: Int) {
    let count = 40 * clusters
    for values in [normalNumbers(count, seed: 3).sorted(), (0..<count).map(Double.init)] {
      let masses = normalNumbers(count, seed: 4).map { (abs($0) * 8).rounded() + 1 }
      let result = OptimalKMeans(values: values, masses: masses, clusters: clusters)
      let best = leastByLayers(values, masses, cells: clusters)
      #expect(abs(result.squaredError - best) <= 1e-10 * best, "\(result.squaredError) \(best)")
      #expect(result.starts.count == clusters)
      let even = OptimalKMeans(values: values, masses: values.map { _ in 1 }, clusters: clusters)
      #expect(abs(even.squaredError - leastByLayers(values, values.map { _ in 1 }, cells: clusters)) <= 1e-9 * best)
    }
  }

  /// O(cells · count²), cell errors from prefix sums.
  private func leastByLayers(_ values: [Double], _ masses: [Double], cells: Int) -> Double {
    var (m, p, q) = ([0.0], [0.0], [0.0])
    for (x, n) in zip(values, masses) {
      m.append(m[m.count - 1] + n)
      p.append(p[p.count - 1] + n * x)
      q.append(q[q.count - 1] + n * x * x)
    }
    func error(_ i: Int, _ j: Int) -> Double { q[j] - q[i] - (p[j] - p[i]) * (p[j] - p[i]) / (m[j] - m[i]) }
    var least = (0...values.count).map { $0 == 0 ? Double.infinity : error(0, $0) }
    for cells in 2...cells {
      let previous = least
      for j in 0...values.count {
        least[j] = j < cells ? .infinity : (cells - 1..<j).reduce(.infinity) { min($0, previous[$1] + error($1, j)) }
      }
    }
    return least[values.count]
  }

  /// Rows without mass change nothing.
  @Test func masslessRows() {
    let values: [Double] = [-2, -1, 0, 1, 2, 7]
    let result = OptimalKMeans(values: values, masses: [0, 2, 0, 2, 0, 1], clusters: 2)
    #expect(result.centroids == [0, 7] && result.starts == [0, 5] && result.squaredError == 4)
  }

  private func least(_ x: [Double], _ mass: [Double], from start: Int, cells: Int) -> Double {
    func error(_ range: Range<Int>) -> Double {
      let total = range.reduce(0) { $0 + mass[$1] }
      let mean = range.reduce(0) { $0 + mass[$1] * x[$1] } / total
      return range.reduce(0) { $0 + mass[$1] * (x[$1] - mean) * (x[$1] - mean) }
    }
    if cells == 1 { return error(start..<x.count) }
    return (start + 1...x.count - cells + 1).map {
      error(start..<$0) + least(x, mass, from: $0, cells: cells - 1)
    }.min()!
  }
}
