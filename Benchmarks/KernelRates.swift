internal import ArgumentParser
internal import Foundation
internal import Kernels

/// Rates of the kernels on Stable Diffusion's shapes, each beside the matrix product of the direct algorithm.
struct KernelRates: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels", abstract: "Measure convolution, attention and products on full-size shapes.")

  @Option(help: "Runs of each kernel; the median counts.")
  var runs = 5

  @Option(help: "Samples in a batch.")
  var batch = 1

  @Option(help: "Where the figures go, as JSON.")
  var output: String?

  @OptionGroup var options: BenchmarkOutput

  /// One kernel on one shape.
  private struct Rate: Encodable {
    let kernel: String
    let shape: String
    let milliseconds: Double
    /// 10⁹ operations of the direct algorithm a second.
    let gigaflops: Double
    /// Against the product of matrices that the direct algorithm is, in the same run.
    let timesProduct: Double
  }

  private struct Figures: Encodable {
    let threads: Int
    let batch: Int
    let rates: [Rate]
  }

  func run() throws {
    var rates: [Rate] = []
    for (side, inputs, outputs) in [
      (64, 320, 320), (64, 640, 320), (32, 640, 640), (16, 1280, 1280), (8, 1280, 1280),
    ] {
      rates += convolution(side: side, inputs: inputs, outputs: outputs)
    }
    for (tokens, inputs, outputs) in [(4096, 320, 320), (4096, 320, 2560), (1024, 640, 640), (256, 1280, 10240)] {
      rates += linear(tokens: tokens, inputs: inputs, outputs: outputs)
    }
    for (tokens, keys, features) in [(4096, 4096, 40), (1024, 1024, 80), (256, 256, 160), (4096, 77, 40)] {
      rates += attention(queries: tokens, keys: keys, features: features)
    }
    let figures = Figures(threads: Parallel.threads, batch: batch, rates: rates)
    try options.show(figures, table: table(rates))
    if let output { try BenchmarkOutput.encoded(figures).write(to: URL(filePath: output)) }
  }

  private func table(_ rates: [Rate]) -> String {
    let rows = rates.map {
      String(
        format: "| %@ | %@ | %.2f | %.0f | %.2f |", $0.kernel as NSString, $0.shape as NSString, $0.milliseconds,
        $0.gigaflops, $0.timesProduct)
    }
    return (["| kernel | shape | ms | GFLOP/s | × product |", "|---|---|---|---|---|"] + rows).joined(separator: "\n")
  }

  /// The median time of a kernel and of the product it stands for, run in turn so that both see the same machine.
  private func rate(
    _ kernel: String, _ shape: String, operations: Int, m: Int, n: Int, k: Int, _ body: () -> Void
  ) -> Rate {
    let a = Buffer(repeating: 0.5, count: m * k)
    let b = Buffer(repeating: 0.5, count: k * n)
    let c = Buffer(uninitialized: m * n)
    let product = {
      MatrixProduct.multiply(
        Matrix(a, stride: k), Matrix(b, stride: n), into: Matrix(c, stride: n), m: m, n: n, k: k)
    }
    let time = PairedTime(runs: runs, kernel: body, product: product)
    return Rate(
      kernel: kernel, shape: shape, milliseconds: time.seconds * 1e3,
      gigaflops: Double(operations) / time.seconds / 1e9,
      timesProduct: time.timesProduct * Double(operations) / Double(2 * m * n * k))
  }

  private func normals(_ count: Int) -> Buffer { RandomWeights.normals(count, deviation: 1, seed: 9) }

  private func convolution(side: Int, inputs: Int, outputs: Int) -> [Rate] {
    let g = ConvolutionGeometry(
      batch: batch, height: side, width: side, inputs: inputs, outputs: outputs, kernelHeight: 3, kernelWidth: 3,
      stride: 1, top: 1, left: 1, bottom: 1, right: 1)
    let rows = batch * side * side
    let x = normals(rows * inputs)
    let weight = normals(outputs * inputs * 9)
    let y = normals(rows * outputs)
    let dx = Buffer(uninitialized: x.count)
    let dw = Buffer(uninitialized: weight.count)
    let shape = "\(inputs)→\(outputs) at \(side)×\(side)"
    let product = (m: rows, n: outputs, k: 9 * inputs)
    return [
      rate("convolution", shape, operations: g.operations, m: product.m, n: product.n, k: product.k) {
        Convolution.forward(x, weight: WeightElements(weight), bias: nil, into: y, g)
      },
      rate("convolution, dx", shape, operations: g.operations, m: product.m, n: product.n, k: product.k) {
        Convolution.inputGradient(y, weight: WeightElements(weight), into: dx, g)
      },
      rate("convolution, dw", shape, operations: g.operations, m: product.m, n: product.n, k: product.k) {
        Convolution.weightGradient(x, dy: y, into: dw, g)
      },
    ]
  }

  private func linear(tokens: Int, inputs: Int, outputs: Int) -> [Rate] {
    let rows = batch * tokens
    let g = ConvolutionGeometry(batch: 1, height: rows, width: 1, inputs: inputs, outputs: outputs)
    let x = normals(rows * inputs)
    let weight = normals(outputs * inputs)
    let y = normals(rows * outputs)
    let dw = Buffer(uninitialized: weight.count)
    let shape = "\(inputs)→\(outputs), \(tokens) tokens"
    return [
      rate("linear", shape, operations: g.operations, m: rows, n: outputs, k: inputs) {
        Convolution.forward(x, weight: WeightElements(weight), bias: nil, into: y, g)
      },
      rate("linear, dw", shape, operations: g.operations, m: rows, n: outputs, k: inputs) {
        Convolution.weightGradient(x, dy: y, into: dw, g)
      },
    ]
  }

  private func attention(queries: Int, keys: Int, features: Int) -> [Rate] {
    let heads = 8
    let attention = ScaledDotProductAttention(
      batch: batch, queries: queries, keys: keys, heads: heads, features: features,
      scale: 1 / Float(features).squareRoot())
    let q = normals(batch * queries * heads * features)
    let k = normals(batch * keys * heads * features)
    let o = Buffer(uninitialized: q.count)
    let logsum = attention.forward(q, k, k, into: o)
    let operations = 4 * q.count * keys
    let shape = "\(queries)×\(keys), \(heads)×\(features)"
    return [
      rate("attention", shape, operations: operations, m: queries, n: keys, k: features) {
        _ = attention.forward(q, k, k, into: o)
      },
      rate("attention, gradient", shape, operations: operations * 5 / 2, m: queries, n: keys, k: features) {
        _ = attention.gradient(q, k, k, o: o, logsum: logsum, dy: o)
      },
    ]
  }
}
