internal import Distribution
internal import Kernels
internal import Tensors

/// What becomes of a step's gradients as the backward pass hands them over: the palettes turn those of clustered
/// weights into those of what is trained, and the optimizer steps.
///
/// Gradients of small weights wait until there are enough to share out over threads. Without a limit on their norm
/// every portion is stepped at once, and a full-size network's gradients never exist together; with one, they are kept
/// to the end, once.
///
/// Every gradient is summed over ranks while the backward pass goes on, for the rank that keeps the weight: it alone
/// goes on with it.
struct StepUpdate {
  private let state: RunState
  private let palettes: [String: StepPalette]
  private let optimizer: OptimizerStep
  private let weights: TrainedWeights
  private let ranks: Ranks
  /// The first failure among the ranks; what comes after it is not looked at.
  private var failure: RankError?
  private var waiting: [(name: String, gradient: PendingSum)] = []
  private var waitingElements = 0
  private var kept: [(name: String, gradient: WeightGradient)] = []
  private var squares = 0.0
  /// The first weight with a gradient that is not finite.
  private(set) var notFinite: String?
  /// Palettized weights whose gain was cut off at its bound, and all of them.
  private(set) var clipped = (elements: 0.0, of: 0.0)
  /// Hard palettes' entries that are learned by their gradients, by weight; moved once the update is finished.
  let learned: [String: Buffer]
  private let time: PaletteTime

  /// Gradients wait until they are so many elements, 64 MB: small weights then occupy all threads.
  private static let portion = 16 << 20
  /// Elements from which on a weight occupies all threads.
  private static let large = 4 << 20

  init(
    _ state: RunState, _ palettes: [String: StepPalette], _ optimizer: OptimizerStep, _ weights: TrainedWeights,
    _ ranks: Ranks, _ time: PaletteTime
  ) {
    self.time = time
    self.weights = weights
    self.ranks = ranks
    self.state = state
    self.palettes = palettes
    self.optimizer = optimizer
    learned = palettes.filter(\.value.learnsEntries).keys.reduce(into: [:]) { tables, name in
      tables[name] = Buffer(state.centroids[name] ?? [])
    }
  }

  /// Takes the gradient of a weight, complete and delivered once.
  mutating func take(_ gradient: Buffer, of name: String) {
    guard failure == nil else { return }
    do {
      waiting.append((name, try ranks.startSum(gradient, at: weights.ownership.owner(of: name))))
      waitingElements += gradient.count
      if waitingElements >= Self.portion { try flush() }
    } catch {
      failure = error
    }
  }

  /// Steps what is left.
  ///
  /// - Returns: the global L2 norm of the gradients before clipping.
  mutating func finish() throws -> Double {
    if let failure { throw failure }
    try flush()
    guard !optimizer.allowsPortions else { return try ranks.sum([squares])[0].squareRoot() }
    let ordered = kept.sorted { place($0.name) < place($1.name) }
    let norm = try optimizer(ordered.flatMap(targets), time) { try ranks.sum([$0])[0] }
    if !norm.isFinite { notFinite = Divergence.first(ordered.lazy.map { ($0.name, $0.gradient.elements) }) }
    return norm
  }

  /// The place of a weight in the order of the threads' work, largest first; gradients arrive in that of the walk.
  private func place(_ name: String) -> Int { weights.order[name, default: 0] }

  /// The gradients of this rank's weights among those that wait.
  private mutating func arrived() throws(RankError) -> [(name: String, gradient: Buffer)] {
    var gradients: [(name: String, gradient: Buffer)] = []
    for (name, sum) in waiting.sorted(by: { place($0.name) < place($1.name) }) {
      if let gradient = try sum.result() { gradients.append((name, gradient)) }
    }
    waiting = []
    waitingElements = 0
    return gradients
  }

  private mutating func flush() throws(RankError) {
    let portion = try arrived()
    let pulled = time.counting { self.pulled(portion) }
    for case .palette(let gradients) in pulled {
      let count = Double(gradients.parameter.count)
      clipped = (clipped.elements + gradients.clippedShare * count, clipped.of + count)
    }
    let gradients = zip(portion, pulled).map { ($0.name, $1) }
    guard optimizer.allowsPortions else { return kept += gradients }
    let norm = optimizer(gradients.flatMap(targets), time) { $0 }
    if !norm.isFinite, notFinite == nil { notFinite = Divergence.first(gradients.lazy.map { ($0.0, $0.1.elements) }) }
    squares += norm * norm
  }

  /// What palettes make of gradients, in their order: of large ones one by one, each on all threads, of small ones side
  /// by side.
  private func pulled(_ portion: [(name: String, gradient: Buffer)]) -> [WeightGradient] {
    let (palettes, isWhole) = (palettes, !optimizer.allowsPortions)
    @Sendable func pullback(_ index: Int) -> WeightGradient {
      let (name, gradient) = portion[index]
      guard var gradients = palettes[name]?.pullback(gradient) else { return .plain(gradient) }
      if isWhole { gradients.parameter = .elements(gradients.parameter.elements) }
      return .palette(gradients)
    }
    let large = portion.indices.prefix { portion[$0].gradient.count >= Self.large }
    let first = large.map(pullback)
    return first + Parallel.map(portion.count - first.count) { pullback(first.count + $0) }
  }

  /// What the optimizer steps for a weight.
  private func targets(_ name: String, _ gradient: WeightGradient) -> [OptimizerStep.Target] {
    func target(_ gradient: ParameterGradient, _ parameter: Buffer?, _ key: String) -> OptimizerStep.Target {
      guard let parameter, let moments = state.moments[key] else {
        preconditionFailure("nothing to train under \(key)")
      }
      return OptimizerStep.Target(
        gradient: gradient, parameter: parameter, moments: moments, seed: UInt32(truncatingIfNeeded: place(name)))
    }
    switch gradient {
    case .plain(let gradient): return [target(.elements(gradient), state.parameters[name]?.buffer, name)]
    case .palette(let gradients):
      var targets: [OptimizerStep.Target] = []
      if let frozen = state.frozen[name] {
        targets.append(target(gradients.parameter, frozen.table, RunState.tableKey(name)))
      } else {
        targets.append(target(gradients.parameter, state.parameters[name]?.buffer, name))
      }
      if let scale = gradients.scale {
        targets.append(target(.elements(scale), state.scales[name], RunState.scaleKey(name)))
      }
      if let entries = gradients.entries {
        targets.append(target(.elements(entries), learned[name], RunState.tableKey(name)))
      }
      return targets
    }
  }
}

/// A weight's gradient as the network gives it, or what its palette makes of it.
private enum WeightGradient: Sendable {
  case plain(Buffer)
  case palette(StepPalette.Gradients)

  var elements: Buffer {
    switch self {
    case .plain(let gradient): gradient
    case .palette(let gradients): gradients.parameter.elements
    }
  }
}
