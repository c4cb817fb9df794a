package import Kernels

/// The palette and the indices of a weight that move the network's answer least, by its ``KroneckerFactors``.
///
/// Starting from the nearest entries of the palette with the least weighted error, it alternates between the best entries
/// for the indices (conjugate gradients: the error is quadratic in them) and passes over all indices
/// (``CoordinateDescent``). The last pass knows the entries as they are stored.
package struct SecondOrderRounding: Sendable {
  private let weights: Buffer
  private let elements: PaletteElements
  private let factors: KroneckerFactors
  private let descent: CoordinateDescent

  /// Times that entries and indices are chosen in turn, at most: fewer if fewer than one weight in 10,000 moves.
  private static let mostRounds = 20
  /// Steps of conjugate gradients for the entries, at most.
  private static let mostSteps = 8
  /// FLOPs that a weight may take, about, but for one round at least: of 1280×1280 kernels of 3×3 a product of
  /// ``CoordinateDescent`` is 0.4 of 10¹².
  private static let most = 6e12

  /// How often entries and indices are chosen within ``most``, and the steps for the entries.
  private var rounds: (count: Int, steps: Int) {
    let (rows, columns) = (Double(elements.layout.shape[0]), Double(weights.count / elements.layout.shape[0]))
    let product = 2 * rows * columns * (rows + columns)
    let affordable = Int(Self.most / product)
    let steps = max(2, min(Self.mostSteps, affordable / 16))
    // The entries are chosen once more at the end.
    return (max(1, min(Self.mostRounds, affordable / (steps + 2) - 1)), steps)
  }

  /// - Parameters:
  ///   - weights: `[outputs, …]`
  ///   - elements: the same weights, as palettes of single numbers see them.
  ///   - keepsZeros: whether weights that are zero stay so.
  package init(_ weights: Buffer, _ elements: PaletteElements, _ factors: KroneckerFactors, keepsZeros: Bool) {
    let layout = elements.layout
    precondition(layout.vector == 1, "second-order rounding: vectors of \(layout.vector)")
    self.weights = weights
    self.elements = elements
    self.factors = factors
    descent = CoordinateDescent(
      rowFactor: self.factors.outputs, columnFactor: self.factors.inputs, rows: layout.shape[0],
      columns: layout.count / layout.shape[0], fixed: keepsZeros ? weights.elements.map { $0 == 0 } : nil)
  }

  /// - Parameter rounds: a lower limit to the rounds than that of the weight's size.
  package func callAsFunction(rounds limit: Int = .max) throws -> PalettizedTensor {
    var state = try start()
    for _ in 0..<min(limit, rounds.count) {
      let residual = residual(state)
      chooseEntries(&state, residual)
      if descend(&state, residual) * 10_000 < weights.count { break }
    }
    chooseEntries(&state, residual(state))
    let layout = elements.layout
    state.table = StoredEntries(rounding: state.table, elements.form, groups: layout.groups).values
    _ = descend(&state, residual(state))
    return elements.palettized(state.table, indices: layout.arrangement.arranged(state.indices))
  }

  private struct State {
    /// `[groups, entries]`, ascending in each group.
    var table: [Float]
    /// In the order of the weights.
    var indices: [UInt8]
  }

  private func start() throws -> State {
    let layout = elements.layout
    let sensitivities = factors.diagonal
    // Palettes see weights divided by their channels' factors, whose errors count as much more.
    let counted = elements.scale.map { scale in
      layout.arrangement.restored(
        layout.arrangement.arranged(sensitivities, factors: Buffer(scale.elements.map { $0 * $0 })))
    }
    let table = try elements.optimalTable(sensitivities: counted ?? sensitivities)
    let indices = HardClustering(arranged: elements.arranged, layout, table: table).indices
    return State(table: table, indices: layout.arrangement.restored(indices))
  }

  /// Entries by index, times the channels' factors, in the order of the weights.
  private func decoded(_ table: [Float], _ indices: [UInt8]) -> Buffer {
    let layout = elements.layout
    let entries = PaletteEntries.gather(
      Buffer(table), layout.arrangement.arranged(indices), groups: layout.groups, vector: 1)
    return layout.arrangement.restored(entries, factors: elements.scale)
  }

  /// For each entry the sum over its weights, times the channels' factors. `[groups, entries]`
  private func sums(_ x: Buffer, over state: State, squared: Bool = false) -> [Float] {
    let layout = elements.layout
    let factors = elements.scale.map { squared ? Buffer($0.elements.map { $0 * $0 }) : $0 }
    return PaletteEntries.gradient(
      layout.arrangement.arranged(x, factors: factors), layout.arrangement.arranged(state.indices),
      entries: state.table.count / layout.groups, groups: layout.groups, vector: 1
    ).elements
  }

  /// Minus the gradient of the error by the weights.
  private func residual(_ state: State) -> Buffer {
    let lacking = decoded(state.table, state.indices)
    Elementwise.combine(weights, .subtract, lacking, into: lacking)
    return descent.product(lacking)
  }

  /// The best entries for the indices; the residual is that of the new ones when it returns.
  private func chooseEntries(_ state: inout State, _ residual: Buffer) {
    // Directions in which a unit step costs more count less; entries without weights, and the pinned zero, stay.
    let curvature = sums(factors.diagonal, over: state, squared: true)
    let isFree = curvature.indices.map { place in
      curvature[place] > 0 && !(elements.form.enforcesZero && state.table[place] == 0)
    }
    func scaled(_ gradient: [Double]) -> [Double] {
      gradient.indices.map { isFree[$0] ? gradient[$0] / Double(curvature[$0]) : 0 }
    }
    var gradient = sums(residual, over: state).map(Double.init)
    var direction = scaled(gradient)
    var size = Self.dot(gradient, direction)
    let first = size
    for _ in 0..<rounds.steps where size > 1e-8 * first && size > 0 {
      let change = descent.product(decoded(direction.map(Float.init), state.indices))
      let image = sums(change, over: state).map(Double.init)
      let steepness = Self.dot(direction, image)
      guard steepness > 0 else { break }
      let step = size / steepness
      for place in direction.indices {
        state.table[place] += Float(step * direction[place])
        gradient[place] -= step * image[place]
      }
      Elementwise.accumulate(change, by: Float(-step), into: residual)
      let next = scaled(gradient)
      let nextSize = Self.dot(gradient, next)
      for place in direction.indices { direction[place] = next[place] + nextSize / size * direction[place] }
      size = nextSize
    }
    sort(&state)
  }

  private static func dot(_ x: [Double], _ y: [Double]) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }

  /// Entries that passed each other change places.
  private func sort(_ state: inout State) {
    let layout = elements.layout
    let count = state.table.count / layout.groups
    let places = (0..<layout.groups).flatMap { group in
      (group * count..<(group + 1) * count).sorted { state.table[$0] < state.table[$1] }
    }
    guard places != Array(state.table.indices) else { return }
    var ranks = [UInt8](repeating: 0, count: places.count)
    for (rank, place) in places.enumerated() { ranks[place] = UInt8(rank % count) }
    var indices = layout.arrangement.arranged(state.indices)
    for group in 0..<layout.groups {
      for weight in layout.range(group) { indices[weight] = ranks[group * count + Int(indices[weight])] }
    }
    state.indices = layout.arrangement.restored(indices)
    state.table = places.map { state.table[$0] }
  }

  /// - Returns: how many weights moved.
  private func descend(_ state: inout State, _ residual: Buffer) -> Int {
    descent.pass(
      values: decoded(state.table, state.indices), indices: &state.indices, residual: residual,
      tables: tables(state.table))
  }

  /// What each row's or column's weights may be, their channels' factors included.
  private func tables(_ table: [Float]) -> CoordinateDescent.Tables {
    let layout = elements.layout
    let count = table.count / layout.groups
    guard layout.groups > 1 || elements.scale != nil else { return .init(.all, Buffer(table), entries: count) }
    let size = layout.channels / layout.groups
    // Along the second axis, a channel is all positions of its kernels.
    let repeated = layout.axis == 0 ? 1 : layout.shape.dropFirst(layout.axis + 1).reduce(1, *)
    let values = (0..<layout.channels).flatMap { channel -> [Float] in
      let factor = elements.scale?[channel] ?? 1
      let own = table[channel / size * count..<(channel / size + 1) * count].map { $0 * factor }
      return Array(repeatElement(own, count: repeated).joined())
    }
    return .init(layout.axis == 0 ? .rows : .columns, Buffer(values), entries: count)
  }
}
