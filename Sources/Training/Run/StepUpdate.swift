internal import Distribution
internal import Kernels
internal import Tensors

/// What becomes of a step's gradients as the backward pass hands them over: the palettes turn those of clustered
/// weights into those of what is trained, and the optimizer steps.
///
/// Gradients of small weights wait until there are enough to share out over threads. Without a limit on their norm
/// every portion is stepped at once, and a full-size network's gradients never exist together; with one, they are kept
/// to the end, once.
struct StepUpdate {
  private let state: RunState
  private let palettes: [String: StepPalette]
  private let optimizer: OptimizerStep
  private let ranks: Ranks
  /// The first failure among the ranks; what comes after it is not looked at.
  private var failure: RankError?
  /// The place of each name among all that is trained.
  private let order: [String: Int]
  private var waiting: [(name: String, gradient: Buffer)] = []
  private var waitingElements = 0
  private var kept: [Int: WeightGradient] = [:]
  private var squares = 0.0
  /// Hard palettes' entries that are learned by their gradients, by weight; moved once the update is finished.
  let learned: [String: Buffer]
  /// What the palettes took.
  private(set) var clustering = Duration.zero

  /// Elements that wait at most: enough for both threads of a small machine, 64 MB of gradients.
  private static let portion = 16 << 20

  init(_ state: RunState, _ palettes: [String: StepPalette], _ optimizer: OptimizerStep, _ ranks: Ranks) {
    self.ranks = ranks
    self.state = state
    self.palettes = palettes
    self.optimizer = optimizer
    learned = palettes.filter(\.value.learnsEntries).keys.reduce(into: [:]) { tables, name in
      tables[name] = Buffer(state.centroids[name] ?? [])
    }
    order = Dictionary(uniqueKeysWithValues: state.trainable.enumerated().map { ($1, $0) })
  }

  /// Takes the gradient of a weight, complete and delivered once.
  mutating func take(_ gradient: Buffer, of name: String) {
    guard order[name] != nil else { return }
    waiting.append((name, gradient))
    waitingElements += gradient.count
    if waitingElements >= Self.portion { flush() }
  }

  /// Steps what is left.
  ///
  /// - Returns: the global L2 norm of the gradients before clipping.
  mutating func finish() throws(RankError) -> Double {
    flush()
    if let failure { throw failure }
    guard !optimizer.allowsPortions else { return squares.squareRoot() }
    let names = state.trainable
    return optimizer(names.indices.flatMap { index in kept[index].map { targets(names[index], index, $0) } ?? [] })
  }

  private mutating func flush() {
    // The order of arrival is that of the walk, the order of names that of the threads' work: largest first.
    let portion = waiting.sorted { order[$0.name, default: 0] < order[$1.name, default: 0] }
    waiting = []
    waitingElements = 0
    do {
      for (_, gradient) in portion { try average(gradient) }
    } catch {
      failure = failure ?? error
      return
    }
    let started = ContinuousClock.now
    let palettes = palettes
    let pulled = Parallel.map(portion.count) { index -> WeightGradient in
      let (name, gradient) = portion[index]
      return palettes[name].map { .palette($0.pullback(gradient)) } ?? .plain(gradient)
    }
    clustering += ContinuousClock.now - started
    let indices = portion.map { order[$0.name, default: 0] }
    guard optimizer.allowsPortions else {
      for (index, gradient) in zip(indices, pulled) { kept[index] = gradient }
      return
    }
    let norm = optimizer(zip(indices, zip(portion, pulled)).flatMap { targets($1.0.name, $0, $1.1) })
    squares += norm * norm
  }

  /// Every rank has the gradient of its share's mean.
  private func average(_ gradient: Buffer) throws(RankError) {
    guard ranks.count > 1 else { return }
    try ranks.sum(gradient)
    Elementwise.scale(gradient, by: 1 / Float(ranks.count), into: gradient)
  }

  /// What the optimizer steps for a weight.
  ///
  /// - Parameter index: of the weight among all that is trained.
  private func targets(_ name: String, _ index: Int, _ gradient: WeightGradient) -> [OptimizerStep.Target] {
    func target(_ gradient: Buffer, _ parameter: Buffer?, _ key: String) -> OptimizerStep.Target {
      guard let parameter, let moments = state.moments[key] else {
        preconditionFailure("nothing to train under \(key)")
      }
      return OptimizerStep.Target(
        gradient: gradient, parameter: parameter, moments: moments, seed: UInt32(truncatingIfNeeded: index))
    }
    switch gradient {
    case .plain(let gradient): return [target(gradient, state.parameters[name]?.buffer, name)]
    case .palette(let gradients):
      var targets: [OptimizerStep.Target] = []
      if let frozen = state.frozen[name] {
        targets.append(target(gradients.parameter, frozen.table, RunState.tableKey(name)))
      } else {
        targets.append(target(gradients.parameter, state.parameters[name]?.buffer, name))
      }
      if let scale = gradients.scale {
        targets.append(target(scale, state.scales[name], RunState.scaleKey(name)))
      }
      if let entries = gradients.entries {
        targets.append(target(entries, learned[name], RunState.tableKey(name)))
      }
      return targets
    }
  }
}

/// A weight's gradient as the network gives it, or what its palette makes of it.
private enum WeightGradient: Sendable {
  case plain(Buffer)
  case palette(StepPalette.Gradients)
}
