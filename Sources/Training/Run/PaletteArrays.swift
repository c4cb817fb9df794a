internal import Checkpoints
internal import Clustering
internal import Files
internal import Kernels
internal import Recipes
internal import Tensors

/// The arrays of a checkpoint that hold palettes, checked against what the recipe says of each weight.
struct PaletteArrays {
  let arrays: StateArrays
  let recipe: Recipe

  /// Fills a run's state but for what every kind of run has.
  func state(
    step: Int, parameters: NamedArrays, losses: [RunState.StepLoss]
  ) throws -> RunState {
    var centroids: [String: [Float]] = [:]
    var scales: [String: Buffer] = [:]
    var frozen: [String: RunState.FrozenPalette] = [:]
    for name in parameters.keys.sorted() {
      guard let palette = palette(name, parameters[name]?.shape.axes ?? []) else { continue }
      centroids[name] = try table("centroids/\(name)", palette).elements
      if palette.form.channelScale { scales[name] = try scale("scales/\(name)", palette) }
      guard arrays["frozen/tables/\(name)"] != nil else { continue }
      frozen[name] = RunState.FrozenPalette(
        table: try table("frozen/tables/\(name)", palette),
        indices: try indices(
          "frozen/indices/\(name)", palette, below: arrays["frozen/tables/\(name)"]?.count ?? 0))
    }
    let state = RunState(
      step: step, parameters: parameters,
      moments: try arrays.moments(recipe.training.moments, of: parameters), centroids: centroids, scales: scales,
      frozen: frozen, losses: losses)
    try check(state)
    return state
  }

  /// Moments of all that is trained.
  private func check(_ state: RunState) throws(FileError) {
    var counts = state.parameters.mapValues { $0.shape.count }
    for (name, scale) in state.scales { counts[RunState.scaleKey(name)] = scale.count }
    for (name, frozen) in state.frozen { counts[RunState.tableKey(name)] = frozen.table.count }
    if state.frozen.isEmpty, recipe.clustering.gradient == .straightThrough {
      for (name, table) in state.centroids { counts[RunState.tableKey(name)] = table.count }
    }
    for (name, count) in counts.sorted(by: { $0.key < $1.key })
    where state.moments[name]?.count != count {
      throw .malformedItem(
        file: arrays.path, item: "moments/mean/\(name)", expected: "\(count) numbers",
        found: state.moments[name].map { "\($0.count)" } ?? "nothing")
    }
  }

  private func palette(_ name: String, _ shape: [Int]) -> WeightPalette? {
    WeightPalette(recipe.clustering, name, shape: shape)
  }

  /// `[groups, entries, vector]`
  private func table(_ name: String, _ palette: WeightPalette) throws(FileError) -> Buffer {
    let table = try arrays.floats(name)
    let unit = palette.layout.groups * palette.layout.vector
    guard table.count % unit == 0, (1...1 << palette.form.bits).contains(table.count / unit),
      table.elements.allSatisfy(\.isFinite)
    else {
      throw .malformedItem(
        file: arrays.path, item: name,
        expected: "palettes of 1 to \(1 << palette.form.bits) finite entries, \(unit) numbers each",
        found: "\(table.count) numbers")
    }
    return table
  }

  private func scale(_ name: String, _ palette: WeightPalette) throws(FileError) -> Buffer {
    let scale = try arrays.floats(name, count: palette.layout.channels)
    guard scale.elements.allSatisfy({ $0.isFinite && $0 != 0 }) else {
      throw .malformedItem(
        file: arrays.path, item: name, expected: "finite factors, none of them zero", found: "others")
    }
    return scale
  }

  /// - Parameter below: numbers of the table.
  private func indices(
    _ name: String, _ palette: WeightPalette, below numbers: Int
  ) throws(FileError) -> [UInt8] {
    let (layout, path) = (palette.layout, arrays.path)
    let indices = try arrays.bytes(name, count: layout.count / layout.vector)
    let entries = numbers / layout.groups / layout.vector
    guard indices.allSatisfy({ Int($0) < entries }) else {
      throw .malformedItem(
        file: path, item: name, expected: "indices below \(entries)",
        found: "\(indices.max() ?? 0)")
    }
    return indices
  }

  // MARK: Weights as exported

  static func add(_ hard: HardWeights, to arrays: inout [String: CheckpointArray]) {
    for (name, weight) in hard.weights {
      switch weight {
      case .half(let buffer):
        arrays["hard/values/\(name)"] = CheckpointArray(buffer, shape: hard.shapes[name] ?? [])
      case .palettized(let tensor):
        let layout = tensor.layout
        let shape = [layout.groups, 1 << tensor.bits, layout.vector]
        arrays["hard/indices/\(name)"] = CheckpointArray(
          shape: layout.indexShape, .bytes(tensor.indices))
        if let quantized = tensor.entries.quantized {
          arrays["hard/tables/\(name)"] = CheckpointArray(
            shape: shape, .integers(quantized.values.map(Int.init)))
          arrays["hard/steps/\(name)"] = CheckpointArray(
            HalfPrecision.decode(quantized.steps), shape: [layout.groups])
        } else {
          arrays["hard/tables/\(name)"] = CheckpointArray(Buffer(tensor.entries.values), shape: shape)
        }
        if let scale = tensor.scale {
          arrays["hard/scales/\(name)"] = CheckpointArray(HalfPrecision.decode(scale), shape: [scale.count])
        }
      }
    }
  }

  /// - Returns: nil if the run has not ended.
  func hard(_ parameters: NamedArrays) throws -> HardWeights? {
    guard !arrays.names(in: "hard").isEmpty else { return nil }
    var weights: [String: HardWeights.Weight] = [:]
    for (name, (shape, _)) in parameters {
      if let palette = palette(name, shape.axes) {
        weights[name] = .palettized(try tensor(name, palette))
      } else {
        weights[name] = .half(try arrays.floats("hard/values/\(name)", count: shape.count))
      }
    }
    return HardWeights(shapes: parameters.mapValues { $0.shape.axes }, weights: weights)
  }

  private func tensor(_ name: String, _ palette: WeightPalette) throws(FileError) -> PalettizedTensor {
    let (form, layout) = (palette.form, palette.layout)
    let numbers = layout.groups * layout.vector << form.bits
    let scale: [UInt16]? =
      form.channelScale
      ? HalfPrecision.encode(try self.scale("hard/scales/\(name)", palette)) : nil
    return PalettizedTensor(
      layout: layout, bits: form.bits, entries: try entries(name, palette, numbers),
      indices: try indices("hard/indices/\(name)", palette, below: numbers), scale: scale)
  }

  private func entries(
    _ name: String, _ palette: WeightPalette, _ numbers: Int
  ) throws(FileError) -> StoredEntries {
    let path = "hard/tables/\(name)"
    guard palette.form.entries == .int8 else {
      return StoredEntries(codes: HalfPrecision.encode(try arrays.floats(path, count: numbers)))
    }
    let steps = try arrays.floats("hard/steps/\(name)", count: palette.layout.groups)
    guard let values = arrays[path]?.integers, values.count == numbers,
      values.allSatisfy({ (-127...127).contains($0) })
    else {
      throw .malformedItem(
        file: arrays.path, item: path, expected: "\(numbers) whole numbers from -127 to 127",
        found: "others")
    }
    return StoredEntries(.init(values: values.map { Int8($0) }, steps: HalfPrecision.encode(steps)))
  }
}
