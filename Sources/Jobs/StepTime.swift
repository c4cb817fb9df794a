internal import Kernels
internal import Recipes
internal import Tensors

/// The time of a training step on this machine, from the network's trace and two short measurements; in seconds.
struct StepTime {
  let seconds: Double

  /// What an operation reaches, as a share of the rate of large matrix products, counting the direct algorithm's
  /// operations (`docs/performance.md`).
  private static func share(_ node: Node, _ history: Node.History) -> Double {
    switch node.name {
    case "convolution":
      let (x, weight) = (history.inputShapes[0], history.inputShapes[1])
      guard weight.rank == 4, weight[2] == 3 else { return 0.9 }
      let large = min(x[1], x[2]) >= 32 && min(weight[0], weight[1]) >= 64
      return large ? 2.4 : min(x[1], x[2]) >= 16 && min(weight[0], weight[1]) >= 64 ? 1.5 : 0.75
    case "attention": return 0.7
    default: return 0.9
    }
  }

  /// Nanoseconds that a clustered weight takes: keys, histogram, look-ups, sums of gradients; with two threads.
  private static let clusteringTime = 3.0e-9

  init(_ trace: Trace, _ weights: [String: Shape], _ recipe: Recipe) {
    let training = recipe.training
    let rate = MachineRates.products()
    let bandwidth = MachineRates.bandwidth()
    let count = weights.values.reduce(0) { $0 + $1.count }
    let clustered = weights.reduce(0) {
      $0 + (recipe.clustering.palette(of: $1.key, shape: $1.value.axes) == nil ? 0 : $1.value.count)
    }
    var forward = 0.0
    var backward = 0.0
    for node in trace.nodes {
      guard let history = node.history else { continue }
      let products =
        Double(history.operation.floatingPointOperations(history.inputShapes)) / (rate * Self.share(node, history))
      // Read and written once each way, and fresh memory touched.
      let moved = Double(12 * node.shape.count) / bandwidth
      forward += products + moved
      backward += (node.name == "attention" ? 2.5 : 2) * products + 2 * moved
    }
    let forwards = 1 + (training.recompute ? 1 : 0) + (training.loss == .distillation ? 1 : 0)
    let widened = training.loss == .distillation ? 6 * count : 0
    let momentBytes = training.moments == .single ? 16 : training.moments == .brainFloat ? 8 : 4
    seconds =
      Double(forwards) * forward + backward + Double(clustered) * Self.clusteringTime
      + Double(widened + (12 + momentBytes) * count) / bandwidth
  }
}

/// What this machine reaches right now, other programs on it included.
enum MachineRates {
  /// Operations a second of a large matrix product on all threads.
  static func products() -> Double {
    let (m, n, k) = (2048, 320, 1152)
    let a = Buffer(repeating: 0.5, count: m * k)
    let b = Buffer(repeating: 0.5, count: k * n)
    let c = Buffer(uninitialized: m * n)
    return Double(2 * m * n * k)
      / median {
        MatrixProduct.multiply(
          Matrix(a, stride: k), Matrix(b, stride: n), into: Matrix(c, stride: n), m: m, n: n, k: k)
      }
  }

  /// Bytes a second of an addition of two long arrays, read and written, on all threads.
  static func bandwidth() -> Double {
    let count = 16 << 20
    let (x, y) = (Buffer(repeating: 1, count: count), Buffer(repeating: 1, count: count))
    let z = Buffer(repeating: 0, count: count)
    return Double(12 * count) / median { Elementwise.combine(x, .add, y, into: z) }
  }

  /// Of some seconds' worth of runs, not the best: what else runs on the machine will go on.
  private static func median(_ body: () -> Void) -> Double {
    body()
    var times: [Double] = []
    let started = ContinuousClock.now
    while times.count < 5 || (ContinuousClock.now - started).seconds < 0.5 {
      let begun = ContinuousClock.now
      body()
      times.append((ContinuousClock.now - begun).seconds)
    }
    return times.sorted()[times.count / 2]
  }
}

extension Duration {
  fileprivate var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
