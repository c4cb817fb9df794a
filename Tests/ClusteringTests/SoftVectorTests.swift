import Clustering
import Foundation
import Kernels
import Testing
import WeightFiles

/// Differentiable k-means of vectors, against coremltools' own code and against finite differences.
@Suite struct SoftVectorTests {
  private func solution(
    _ elements: Buffer, _ layout: PaletteLayout, _ centroids: [Float], _ options: ClusteringOptions
  ) -> SoftVectorClustering {
    SoftVectorClustering(
      arranged: elements, range: layout.indexRange(0), dimension: layout.vector, centroids: centroids,
      options: options)
  }

  /// Ours has neither coremltools' floor of 1e-7 under the attention nor its offset on one centroid. In float64 the
  /// same formulas without them differ from it by 4e-5 in weights and 3e-4 in gradients; with them by 5e-6.
  @Test func coremltoolsVectors() throws {
    let tensors = try References.tensors("tensors.safetensors")
    for fileName in References.files("coremltools_options_") {
      let file = try References.tensors(fileName)
      guard file.names.contains("cluster_dim2/W_soft") else { continue }
      let name = String(fileName.dropFirst("coremltools_options_".count).dropLast(".safetensors".count))
      let (weights, upstream) = (try tensors.doubles(name), try tensors.doubles("\(name).upstream"))
      let layout = try PaletteForm(bits: 4, vector: 2).layout(of: try #require(tensors.shape(of: name)))
      let arranged = { (numbers: [Double]) in layout.arrangement.arranged(Buffer(numbers.map(Float.init))) }
      let vectors = solution(
        arranged(weights), layout, try file.doubles("cluster_dim2/C_init").map(Float.init),
        ClusteringOptions(bits: 4, temperature: 3e-4, readout: .previous))
      let (soft, gradient) = (Buffer(count: weights.count), Buffer(count: weights.count))
      vectors.softWeights(into: soft)
      vectors.pullback(arranged(upstream), into: gradient)
      let doubles = { (buffer: Buffer) in layout.arrangement.restored(buffer).elements.map(Double.init) }
      References.report(
        "dkm/coremltools \(name)/cluster_dim2 weights",
        error: relativeError(doubles(soft), try file.doubles("cluster_dim2/W_soft")), bound: 1e-4)
      References.report(
        "dkm/coremltools \(name)/cluster_dim2 centroids",
        error: relativeError(
          vectors.centroids.map(Double.init), try file.doubles("cluster_dim2/C_after")), bound: 1e-4)
      References.report(
        "dkm/coremltools \(name)/cluster_dim2 gradient",
        error: relativeError(doubles(gradient), try file.doubles("cluster_dim2/grad_w")), bound: 1e-3)
    }
  }

  /// Weights one by one against a histogram of them, where rounding to half precision changes none; the bounds are those
  /// of single precision.
  @Test(arguments: [1, 2]) func singleWeights(bits: Int) throws {
    let weights = HalfPrecision.rounded(Buffer(normalNumbers(4608, deviation: 0.03).map(Float.init)))
    let upstream = Buffer(normalNumbers(4608, seed: 9).map(Float.init))
    let histogram = try WeightHistogram(weights)
    let start = OptimalKMeans(histogram, clusters: 1 << bits).centroids.map(Float.init)
    let options = ClusteringOptions(bits: bits, temperature: 0.02 * histogram.variance, maximumGain: 2)
    let expected = try SoftClustering(histogram, of: weights, centroids: start, options: options)
    let found = solution(weights, PaletteLayout(shape: [4608]), start, options)
    let (soft, gradient, reference) = (Buffer(count: 4608), Buffer(count: 4608), Buffer(count: 4608))
    found.softWeights(into: soft)
    let clipped = (found.pullback(upstream, into: gradient), expected.pullback(upstream, into: reference))
    let doubles = { (buffer: Buffer) in buffer.elements.map(Double.init) }
    #expect(relativeError(found.centroids.map(Double.init), expected.centroids.map(Double.init)) < 1e-5)
    #expect(relativeError(doubles(soft), doubles(expected.softWeights())) < 1e-5)
    #expect(relativeError(doubles(gradient), doubles(reference)) < 1e-4)
    #expect(clipped.1 > 0 && abs(clipped.0 - clipped.1) < 1e-3)
  }

  /// Along random directions. Squared distances grow with the dimension, so the temperature does; differences of sums in
  /// single precision carry about 1e-3 of noise at this step.
  @Test(arguments: [1, 2, 4], [ClusteringOptions.Readout.fresh, .previous])
  func gradientIsThatOfTheLoss(dimension: Int, readout: ClusteringOptions.Readout) throws {
    let layout = try PaletteForm(bits: 3, vector: dimension).layout(of: [8, 60])
    let weights = normalNumbers(480, seed: 5)
    let upstream = normalNumbers(480, seed: 6)
    let start = normalNumbers(8 * dimension, seed: 7).map(Float.init)
    let options = ClusteringOptions(bits: 3, temperature: 0.4 * Double(dimension), readout: readout)
    func loss(_ weights: [Double]) -> Double {
      let soft = Buffer(count: weights.count)
      solution(Buffer(weights.map(Float.init)), layout, start, options).softWeights(into: soft)
      return zip(soft.elements, upstream).reduce(0) { $0 + Double($1.0) * $1.1 }
    }
    let gradient = Buffer(count: weights.count)
    solution(Buffer(weights.map(Float.init)), layout, start, options)
      .pullback(Buffer(upstream.map(Float.init)), into: gradient)
    for seed in 8..<12 {
      let direction = normalNumbers(480, seed: UInt64(seed))
      let h = 2e-3
      let moved = { (h: Double) in zip(weights, direction).map { $0 + h * $1 } }
      let expected = (loss(moved(h)) - loss(moved(-h))) / (2 * h)
      let found = zip(gradient.elements, direction).reduce(0) { $0 + Double($1.0) * $1.1 }
      #expect(abs(found - expected) < 0.01 * max(1, abs(expected)), "\(found) \(expected)")
    }
  }
}
