import Clustering
import Foundation
import Kernels
import Testing
import WeightFiles

/// coremltools 9's DKM (attention floor, offset on centroid 0, absolute stop) against its own code
/// run in float64.
@Suite struct CoremltoolsReferenceTests {
  @Test func softWeightsAndGradients() throws {
    let tensors = try References.tensors("tensors.safetensors")
    var cases = 0
    for fileName in References.files("coremltools_") where !fileName.contains("options") {
      let tensor = String(fileName.dropFirst("coremltools_".count).dropLast(".safetensors".count))
      let file = try References.tensors(fileName)
      let elements = Elements(try tensors.doubles(tensor))
      let upstream = try tensors.doubles("\(tensor).upstream")
      for name in file.names where name.hasSuffix("/W_soft_f64") {
        let parts = name.split(separator: "/")
        guard let bits = Int(parts[0].dropFirst()), let tau = Double(parts[1].dropFirst(3)),
          let start = file.names.first(where: {
            $0 == "\(parts[0])/\(parts[1])/C_init"
          }) ?? file.names.first(where: { $0.hasPrefix("\(parts[0])/") && $0.hasSuffix("C_init") })
        else { continue }
        cases += 1
        for precision in [SoftAttention.Precision.double, .single] {
          var options = ClusteringOptions.coremltools(bits: bits, temperature: tau)
          options.precision = precision
          let solution = try DifferentiableKMeans(
            elements.histogram, centroids: try file.doubles(start), options: options)
          let prefix = "\(parts[0])/\(parts[1])"
          let title = "dkm/coremltools \(tensor)/\(prefix)/\(precision)"
          References.report(
            "\(title) weights",
            error: relativeError(elements.expanded(solution.table(elements.histogram)), try file.doubles(name)),
            bound: 1e-5)
          References.report(
            "\(title) centroids",
            error: relativeError(
              solution.centroids, try file.doubles("\(prefix)/C_after_f64").sorted()),
            bound: 1e-5)
          References.report(
            "\(title) gradient",
            error: relativeError(
              elements.pullback(solution, upstream), try file.doubles("\(prefix)/grad_w_f64")),
            bound: 1e-4)
        }
      }
    }
    #expect(cases > 0)
  }
}
