internal import ArgumentParser
internal import Foundation
internal import Kernels
internal import Layers
internal import StableDiffusion
internal import Tensors

/// All matrix-product-shaped work of a training step, forward and backward, beside OpenBLAS's products of the same shapes.
struct StepRates: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step", abstract: "Measure all convolutions, linear layers and attention of a UNet's training step.")

  @Argument(help: "A diffusers folder with a unet, such as `benchmark model` writes.", completion: .directory)
  var model: String

  @Option(help: "Height and width of the latents.")
  var latents = 64

  @Option(help: "Samples in a batch.")
  var batch = 1

  @Option(help: "Runs of each operation; the median counts.")
  var runs = 3

  @OptionGroup var options: BenchmarkOutput

  func validate() throws {
    guard runs > 0, batch > 0, latents > 0, latents % 8 == 0 else {
      throw ValidationError("--runs, --batch, --latents: expected 1 or more, and latents of a multiple of 8")
    }
  }

  func run() throws {
    var measured: [String: Work] = [:]
    var kinds: [String: Work] = [:]
    for node in try trace().nodes {
      guard let history = node.history, let products = Self.products(history) else { continue }
      let key = "\(history.operation) \(history.inputShapes)"
      let work = measured[key] ?? self.work(history.operation, history, products)
      measured[key] = work
      kinds[products.kind, default: Work()] += work
    }
    let rows = kinds.sorted { $0.key < $1.key }.map { row($0.key, $0.value) }
    let all = kinds.values.reduce(into: Work()) { $0 += $1 }
    let head = [
      "| \(measured.count) distinct operations | TFLOP | seconds | products' seconds | × product |",
      "|---|---|---|---|---|",
    ]
    kinds["all"] = all
    try options.show(kinds, table: (head + rows + [row("all", all)]).joined(separator: "\n"))
  }

  /// Of some operations: of the direct algorithm, and the products' time in the same run.
  private struct Work: Encodable {
    var operations = 0.0, seconds = 0.0, productSeconds = 0.0

    static func += (sum: inout Work, other: Work) {
      sum.operations += other.operations
      sum.seconds += other.seconds
      sum.productSeconds += other.productSeconds
    }
  }

  private func row(_ kind: String, _ work: Work) -> String {
    String(
      format: "| %@ | %.2f | %.2f | %.2f | %.2f |", kind as NSString, work.operations * 1e-12, work.seconds,
      work.productSeconds, work.productSeconds / work.seconds)
  }

  private func trace() throws -> Trace {
    let configuration = try UNetConfiguration(folder: model + "/unet")
    guard configuration.textTime == nil else {
      throw ValidationError("\(model): expected a UNet without added text embeddings, such as Stable Diffusion 1.5's")
    }
    let unet = try UNet(TraceParameters(), configuration)
    return Trace(
      of: Execution.tracing {
        unet(
          .placeholder(named: "sample", shape: [batch, latents, latents, configuration.inputChannels]),
          timestep: .placeholder(named: "timestep", shape: [batch]),
          context: .placeholder(named: "context", shape: [batch, 77, configuration.contextFeatures[0]]))
      })
  }

  /// `c[m, n] = a[m, k] b[k, n]`
  private struct Product {
    let m, n, k: Int
    var transposesA = false, transposesB = false

    var operations: Double { 2 * Double(m) * Double(n) * Double(k) }
  }

  /// The products that an operation is, forward and backward, by the direct algorithm.
  private struct Products {
    let kind: String
    let products: [Product]
    /// How often all of them: once for each head of each sample.
    var count = 1
  }

  /// Nil if the operation is none.
  private static func products(_ history: Node.History) -> Products? {
    let shapes = history.inputShapes
    switch history.operation {
    case is Linear, is Convolution2D:
      let weight = shapes[1]
      let (outputs, patch) = (weight[0], weight.count / weight[0])
      let rows = history.operation.shape(of: shapes).count / outputs
      let is3x3 = weight.rank == 4 && weight[2] == 3
      return Products(
        kind: is3x3 ? "convolutions of 3×3" : "linear layers",
        products: [
          Product(m: rows, n: outputs, k: patch, transposesB: true), Product(m: rows, n: patch, k: outputs),
          Product(m: outputs, n: patch, k: rows, transposesA: true),
        ])
    case let attention as Attention:
      let (queries, keys, features) = (shapes[0][1], shapes[1][1], shapes[0][2] / attention.heads)
      let scores = Product(m: queries, n: keys, k: features, transposesB: true)
      let values = Product(m: queries, n: features, k: keys)
      let transposed = Product(m: keys, n: features, k: queries, transposesA: true)
      // Scores and outputs; then scores again, their gradient, and those of queries, keys and values.
      return Products(
        kind: "attention", products: [scores, values, scores, scores, values, transposed, transposed],
        count: shapes[0][0] * attention.heads)
    default: return nil
    }
  }

  private func work(_ operation: some Tensors.Operation, _ history: Node.History, _ products: Products) -> Work {
    let shapes = history.inputShapes
    let inputs = shapes.map { Tensor($0, RandomWeights.normals($0.count, deviation: 0.1, seed: 9)) }
    let y = Buffer(uninitialized: operation.shape(of: shapes).count)
    let dy = RandomWeights.normals(y.count, deviation: 0.1, seed: 8)
    let needed = shapes.map { _ in true }
    let once = Self.once(products.products)
    let time = PairedTime(
      runs: runs,
      kernel: {
        let residuals = operation.forward(inputs, into: y)
        _ = operation.pullback(dy, residuals, inputs: shapes, needed: needed)
      }, product: { once.forEach { $0() } })
    let count = Double(products.count)
    return Work(
      operations: count * products.products.reduce(0) { $0 + $1.operations }, seconds: time.seconds,
      productSeconds: count * time.seconds * time.timesProduct)
  }

  /// Each product on operands of its own.
  private static func once(_ products: [Product]) -> [() -> Void] {
    products.map { product in
      let (m, n, k) = (product.m, product.n, product.k)
      let a = Buffer(repeating: 0.5, count: m * k)
      let b = Buffer(repeating: 0.5, count: k * n)
      let c = Buffer(uninitialized: m * n)
      return {
        MatrixProduct.multiply(
          Matrix(a, stride: product.transposesA ? m : k, transposed: product.transposesA),
          Matrix(b, stride: product.transposesB ? k : n, transposed: product.transposesB), into: Matrix(c, stride: n),
          m: m, n: n, k: k)
      }
    }
  }
}
