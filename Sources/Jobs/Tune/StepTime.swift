internal import Kernels
internal import Recipes
internal import Tensors
internal import Training

/// The time of a training step on this machine, as busy as it is: every distinct operation of the network's trace is run
/// both ways, and every distinct palette; in seconds.
struct StepTime {
  let seconds: Double

  /// An operation in its place finds its operands outside the caches, one that is repeated does not.
  private static let cold = 1.15

  init(_ trace: Trace, _ weights: [String: Shape], _ recipe: Recipe) throws {
    let training = recipe.training
    let count = weights.values.reduce(0) { $0 + $1.count }
    let palettes = try PaletteTimes(weights, recipe)
    let network = OperationTimes(trace)
    let forwards = 1 + (training.recompute ? 1 : 0) + (training.asksTeacher ? 1 : 0)
    let widened = training.asksTeacher ? 6 * count : 0
    let momentBytes = training.moments == .single ? 16 : training.moments == .brainFloat ? 8 : 4
    seconds =
      Self.cold * (Double(forwards) * network.forward + network.backward) + palettes.seconds
      + Double(widened + (12 + momentBytes) * count) / Stopwatch.bandwidth()
  }
}

/// Seconds of all of a trace's operations, forward and backward.
private struct OperationTimes {
  private(set) var forward = 0.0
  private(set) var backward = 0.0

  init(_ trace: Trace) {
    var measured: [String: (forward: Double, backward: Double)] = [:]
    for node in trace.nodes {
      guard let history = node.history else { continue }
      let key = "\(history.operation) \(history.inputShapes) \(history.inputs.map { $0 != nil })"
      let times = measured[key] ?? Self.times(history.operation, history)
      measured[key] = times
      forward += times.forward
      backward += times.backward
    }
  }

  private static func times(_ operation: some Operation, _ history: Node.History) -> (forward: Double, backward: Double)
  {
    let shapes = history.inputShapes
    let inputs = shapes.map { Tensor(repeating: 0.5, shape: $0) }
    let y = Buffer(repeating: 0, count: operation.shape(of: shapes).count)
    let dy = Buffer(repeating: 0.5, count: y.count)
    var residuals = operation.forward(inputs, into: y)
    let forward = Stopwatch.seconds { residuals = operation.forward(inputs, into: y) }
    let needed = history.inputs.map { $0 != nil }
    let backward = Stopwatch.seconds { _ = operation.pullback(dy, residuals, inputs: shapes, needed: needed) }
    return (forward, backward)
  }
}

/// Seconds of all palettes in a soft step.
private struct PaletteTimes {
  private(set) var seconds = 0.0

  init(_ weights: [String: Shape], _ recipe: Recipe) throws {
    var measured: [PaletteSample: Double] = [:]
    for (name, shape) in weights {
      guard let (sample, count) = try PaletteSample.of(name, shape.axes, recipe.clustering) else { continue }
      let once = try measured[sample] ?? Self.seconds(sample, recipe)
      measured[sample] = once
      seconds += count * once
    }
  }

  /// Of one palette, where every thread has one at hand.
  private static func seconds(_ sample: PaletteSample, _ recipe: Recipe) throws -> Double {
    let step = try sample.step(recipe)
    let seconds = Stopwatch.seconds { Parallel.forEach(Parallel.threads) { _ in step() } }
    return seconds / Double(Parallel.threads)
  }
}

/// Short measurements.
private enum Stopwatch {
  /// The median of as many runs as fit a hundredth of a second, one at least.
  static func seconds(_ body: () -> Void) -> Double {
    var times: [Double] = []
    let started = ContinuousClock.now
    repeat {
      let begun = ContinuousClock.now
      body()
      times.append((ContinuousClock.now - begun) / .seconds(1))
    } while ContinuousClock.now - started < .milliseconds(10)
    return times.sorted()[times.count / 2]
  }

  /// Bytes a second of an addition of two long arrays, read and written, on all threads.
  static func bandwidth() -> Double {
    let count = 16 << 20
    let (x, y) = (Buffer(repeating: 1, count: count), Buffer(repeating: 1, count: count))
    let z = Buffer(repeating: 0, count: count)
    return Double(12 * count) / seconds { Elementwise.combine(x, .add, y, into: z) }
  }
}
