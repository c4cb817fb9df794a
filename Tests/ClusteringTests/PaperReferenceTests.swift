import Clustering
import Foundation
import Kernels
import Testing
import WeightFiles

/// Differentiable k-means in double precision against the float64 reference of the published layer.
///
/// Bound 1e-9: the reference reaches about 1e-12, and what is left is summation order. A fixed point, and its gradient again,
/// amplify rounding by one over the distance of the spectral radius from one, so that the square of it counts near one.
@Suite struct PaperReferenceTests {
  static let bound = 1e-9

  /// Spectral radii of the steps at the fixed points, as the reference found them.
  static func spectralRadii() throws -> [String: Double] {
    guard FileManager.default.fileExists(atPath: References.path("paper_cases.json")) else { return [:] }
    struct Cases: Decodable {
      struct Case: Decodable {
        let key: String
        let spectral_radius_J: Double?
      }
      let cases: [Case]
    }
    let cases = try JSONDecoder().decode(
      Cases.self, from: Data(contentsOf: URL(filePath: References.path("paper_cases.json"))))
    return cases.cases.reduce(into: [:]) { $0[$1.key] = $1.spectral_radius_J }
  }

  /// `k4/sq/tau0.05/T3/lastA` taken apart.
  struct Key {
    let clusters: Int
    let distance: SoftAttention.Distance
    let temperature: Double
    let parts: [Substring]

    init?(_ name: String) {
      parts = name.split(separator: "/")
      guard parts.count >= 4, parts[0].first == "k", let k = Int(parts[0].dropFirst()),
        parts[2].hasPrefix("tau"), let tau = Double(parts[2].dropFirst(3))
      else { return nil }
      clusters = k
      temperature = tau
      distance = parts[1] == "l2" ? .absolute : .squared
    }

    var bits: Int { ClusteringOptions.supportedBits.first { 1 << $0 >= clusters } ?? 8 }
  }

  let file: SafetensorsFile
  let elements: Elements
  let upstream: [Double]

  init() throws {
    file = try References.tensors("paper_f64.safetensors")
    elements = Elements(try file.doubles("w_f64"))
    upstream = try file.doubles("upstream_f64")
  }

  @Test func unrolled() throws {
    var cases = 0
    for name in file.names where name.hasSuffix("/W_f64") {
      guard let key = Key(name), key.parts[3].first == "T", key.parts.count == 6,
        let iterations = Int(key.parts[3].dropFirst())
      else { continue }
      cases += 1
      let options = ClusteringOptions(
        bits: key.bits, temperature: key.temperature, iterations: iterations,
        distance: key.distance, readout: key.parts[4] == "lastA" ? .previous : .fresh,
        precision: .double)
      let solution = try DifferentiableKMeans(
        elements.histogram, centroids: try file.doubles("k\(key.clusters)/C0_f64"),
        options: options)
      let prefix = key.parts.dropLast().joined(separator: "/")
      let iterationPrefix = key.parts.dropLast(2).joined(separator: "/")
      let errors = [
        relativeError(elements.expanded(solution.table(elements.histogram)), try file.doubles(name)),
        relativeError(solution.centroids, try file.doubles("\(iterationPrefix)/C_T_f64")),
        relativeError(
          elements.pullback(solution, upstream), try file.doubles("\(prefix)/grad_w_f64")),
      ]
      References.report("dkm/paper \(prefix)", error: errors.max()!, bound: Self.bound)
    }
    #expect(cases > 0)
  }

  @Test func fixedPoints() throws {
    var cases = 0
    let radii = try Self.spectralRadii()
    for name in file.names where name.hasSuffix("/fixed/C_star_f64") {
      guard let key = Key(name) else { continue }
      cases += 1
      let prefix = key.parts.dropLast().joined(separator: "/")
      func solution(_ gradient: ClusteringOptions.Gradient) throws -> DifferentiableKMeans {
        try DifferentiableKMeans(
          elements.histogram, centroids: try file.doubles("k\(key.clusters)/C0_f64"),
          options: ClusteringOptions(
            bits: key.bits, temperature: key.temperature, distance: key.distance,
            gradient: gradient, precision: .double))
      }
      let exact = try solution(.implicit)
      let gradient = exact.gradient(elements.histogram, elements.summed(upstream))
      #expect(exact.isFixedPoint && gradient.method == .implicit, "\(prefix)")
      let direct = elements.rows.indices.map { gradient.gain[elements.rows[$0]] * upstream[$0] }
      // The fixed point exists only up to the order of centroids, which stays ascending here as in
      // the reference.
      let errors = [
        relativeError(exact.centroids, try file.doubles(name)),
        relativeError(elements.expanded(exact.table(elements.histogram)), try file.doubles("\(prefix)/W_f64")),
        relativeError(direct, try file.doubles("\(prefix)/grad_direct_f64")),
        relativeError(
          elements.pullback(exact, upstream), try file.doubles("\(prefix)/grad_implicit_f64")),
        relativeError(gradient.adjoint ?? [], try file.doubles("\(prefix)/grad_adjoint_f64")),
        relativeError(
          elements.pullback(try solution(.jacobianFree), upstream),
          try file.doubles("\(prefix)/grad_jfb_f64")),
      ]
      let distance = 1 - (radii[key.parts.dropLast(2).joined(separator: "/")] ?? 0)
      References.report(
        "dkm/paper \(prefix)", error: errors.max()!, bound: max(Self.bound, 1e-13 / (distance * distance)))
    }
    #expect(cases > 0)
  }
}
