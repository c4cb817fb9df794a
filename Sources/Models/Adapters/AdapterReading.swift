internal import Kernels
internal import WeightFiles

/// What a file's tensors for one module mean for the module's weight and bias, checked against their extents.
struct AdapterReading {
  private let file: AdapterFile
  private let module: AdapterFile.Module
  /// Of the weight.
  private let shape: [Int]
  private let isInput: Bool

  /// - Parameters:
  ///   - shape: of the module's weight.
  ///   - isInput: whether this is the UNet's first convolution, which in inpainting models has more inputs.
  init(_ module: AdapterFile.Module, in file: AdapterFile, shape: [Int], isInput: Bool) {
    self.module = module
    self.file = file
    self.shape = shape
    self.isInput = isInput
  }

  /// More than any weight of these models has rows or columns.
  private static let largestRank = 1 << 16

  private var rows: Int { shape.first ?? 1 }
  private var columns: Int { shape.dropFirst().reduce(1, *) }
  private var kernel: Int { shape.dropFirst(2).reduce(1, *) }

  private func refused(_ expected: String, _ found: String) -> ModelError {
    .adapter(path: file.path, item: module.place.spelling, expected: expected, found: found)
  }

  private func extents(_ slot: AdapterNames.Slot) -> [Int]? {
    module.tensors[slot].flatMap { file.source.shape(of: $0) }
  }

  /// The tensors of several slots, which come together or not at all.
  private func together(_ slots: [AdapterNames.Slot], _ names: [String]) throws(ModelError) -> [String]? {
    let found = slots.map { module.tensors[$0] }
    guard found.contains(where: { $0 != nil }) else { return nil }
    for (name, tensor) in zip(names, found) where tensor == nil {
      throw refused("\(name) beside its other factors", "none")
    }
    return found.compactMap { $0 }
  }

  /// The change of the weight; nil if the file changes the bias alone.
  func weightChange() throws -> AdapterChange? {
    var forms: [(form: AdapterChange.Form, rank: Int?, columns: Int)] = []
    if let product = try lowRank() { forms.append(product) }
    if let products = try hadamard() { forms.append(products) }
    if let kronecker = try kronecker() { forms.append(kronecker) }
    if let name = module.tensors[.weightDifference] {
      try check(extents(.weightDifference) ?? [], "difference")
      forms.append((.difference(name), nil, columns))
    }
    if let factors = try factors() { forms.append(factors) }
    guard forms.count <= 1 else { throw refused("one kind of adapter for a module", "\(forms.count)") }
    guard let (form, rank, columns) = forms.first else {
      guard module.tensors[.biasDifference] != nil else { throw refused("factors of a change", "none") }
      return nil
    }
    let factor = try rank.map { try file.factor(module, rank: $0) ?? 1 } ?? 1
    return AdapterChange(
      source: file.source, form: form, scale: factor, magnitude: try magnitude(), columns: columns)
  }

  private func check(_ found: [Int], _ what: String) throws(ModelError) {
    guard found.reduce(1, *) == shape.reduce(1, *), found.first ?? 1 == rows else {
      throw refused("a \(what) of \(shape)", "\(found)")
    }
  }

  /// LoRA and LoCon, with a core or without.
  private func lowRank() throws(ModelError) -> (AdapterChange.Form, Int?, Int)? {
    guard let names = try together([.down, .up], ["lora_down", "lora_up"]), let down = extents(.down),
      let up = extents(.up)
    else { return nil }
    let rank = down.first ?? 0
    guard (1...Self.largestRank).contains(rank), up.count >= 2, up[1] == rank, up.dropFirst(2).allSatisfy({ $0 == 1 })
    else {
      throw refused("lora_down and lora_up of one rank", "\(down) and \(up)")
    }
    var product = AdapterChange.Product(left: names[1], right: names[0], rank: rank)
    var width = down.dropFirst().reduce(1, *)
    if let core = extents(.mid) {
      guard core.count >= 2, core[0] == rank, core[1] == rank else {
        throw refused("lora_mid of [\(rank), \(rank), kernel]", "\(core)")
      }
      product.core = module.tensors[.mid]
      width *= core.dropFirst(2).reduce(1, *)
    }
    let isNarrow = isInput && width > 0 && width < columns && width % max(1, kernel) == 0
    guard up[0] == rows, width == columns || isNarrow else {
      throw refused("factors of a weight \(shape)", "\(up[0]) rows and \(width) columns: another family's?")
    }
    return (.products([product]), rank, width)
  }

  /// LoHa.
  private func hadamard() throws(ModelError) -> (AdapterChange.Form, Int?, Int)? {
    let slots: [AdapterNames.Slot] = [.hadamard1A, .hadamard1B, .hadamard2A, .hadamard2B]
    guard let names = try together(slots, slots.map(\.rawValue)), let right1 = extents(.hadamard1B) else { return nil }
    let rank = right1.first ?? 0
    let pairs = [(slots[0], slots[1], AdapterNames.Slot.hadamard1Core), (slots[2], slots[3], .hadamard2Core)]
    var products: [AdapterChange.Product] = []
    for (index, (leftSlot, rightSlot, coreSlot)) in pairs.enumerated() {
      let (left, right) = (extents(leftSlot) ?? [], extents(rightSlot) ?? [])
      let core = extents(coreSlot)
      let width = right.dropFirst().reduce(1, *) * (core?.dropFirst(2).reduce(1, *) ?? 1)
      let leftRows = core == nil ? left.first : left.dropFirst().first
      let leftRank = core == nil ? left.dropFirst().first : left.first
      guard (1...Self.largestRank).contains(rank), left.count == 2, right.first == rank, leftRank == rank,
        leftRows == rows, width == columns,
        core.map({ $0.count >= 2 && $0[0] == rank && $0[1] == rank }) ?? true
      else { throw refused("hada factors of a weight \(shape)", "\(left) and \(right)") }
      products.append(
        .init(
          left: names[2 * index], right: names[2 * index + 1], core: module.tensors[coreSlot], rank: rank,
          isLeftTurned: core != nil))
    }
    return (.products(products), rank, columns)
  }

  /// LoKr; where both factors are whole, alpha does not count.
  private func kronecker() throws(ModelError) -> (AdapterChange.Form, Int?, Int)? {
    guard let first = try kroneckerFactor(.kronecker1, .kronecker1A, .kronecker1B, nil),
      let second = try kroneckerFactor(.kronecker2, .kronecker2A, .kronecker2B, .kronecker2Core)
    else {
      let isPart = module.tensors.keys.contains { $0.rawValue.hasPrefix("lokr_") }
      if isPart { throw refused("lokr_w1 and lokr_w2, whole or in factors", "one of them") }
      return nil
    }
    let (one, two) = (first.shape, second.shape)
    let kernel = two.dropFirst(2).reduce(1, *)
    // A factored second factor has its kernel in the columns.
    let inputs = shape.count > 1 ? shape[1] : 1
    let columns2 = two.count > 2 ? two[1] : two[1] / max(1, self.kernel)
    let extents = AdapterChange.KroneckerExtents(
      rows1: one[0], columns1: one[1], rows2: two[0], columns2: columns2, kernel: two.count > 2 ? kernel : self.kernel)
    guard one.dropFirst(2).allSatisfy({ $0 == 1 }), one[0] * two[0] == rows, one[1] * columns2 == inputs,
      extents.kernel == self.kernel,
      two.count > 2 || columns2 * self.kernel == two[1]
    else { throw refused("Kronecker factors of a weight \(shape)", "\(one) and \(two)") }
    return (
      .kronecker(first: first.factor, second: second.factor, extents: extents), second.rank ?? first.rank, columns
    )
  }

  private func kroneckerFactor(
    _ whole: AdapterNames.Slot, _ leftSlot: AdapterNames.Slot, _ rightSlot: AdapterNames.Slot,
    _ coreSlot: AdapterNames.Slot?
  ) throws(ModelError) -> (factor: AdapterChange.Factor, shape: [Int], rank: Int?)? {
    if let name = module.tensors[whole] {
      guard let shape = extents(whole), shape.count >= 2 else {
        throw refused("\(whole.rawValue) of two extents", "fewer")
      }
      return (.whole(name), shape, nil)
    }
    guard let names = try together([leftSlot, rightSlot], [leftSlot.rawValue, rightSlot.rawValue]),
      let left = extents(leftSlot), let right = extents(rightSlot), left.count == 2, right.count >= 2
    else { return nil }
    let core = coreSlot.flatMap { extents($0) }
    let rank = right[0]
    guard (core == nil ? left[1] : left[0]) == rank, (1...Self.largestRank).contains(rank),
      core.map({ $0.count >= 2 && $0[0] == rank && $0[1] == rank }) ?? true
    else { throw refused("\(leftSlot.rawValue) and \(rightSlot.rawValue) of one rank", "\(left) and \(right)") }
    let product = AdapterChange.Product(
      left: names[0], right: names[1], core: coreSlot.flatMap { module.tensors[$0] }, rank: rank,
      isLeftTurned: core != nil)
    let rows = core == nil ? left[0] : left[1]
    return (.product(product), [rows] + right.dropFirst() + (core?.dropFirst(2) ?? []), rank)
  }

  private func factors() throws -> (AdapterChange.Form, Int?, Int)? {
    guard let name = module.tensors[.factors], let flag = module.tensors[.onInput] else { return nil }
    let count = extents(.factors)?.reduce(1, *) ?? 0
    guard extents(.onInput)?.reduce(1, *) == 1 else {
      throw refused("on_input of one number", "\(extents(.onInput) ?? [])")
    }
    let onInput = try file.source.elements(flag).buffer[0] != 0
    let wanted = onInput ? (shape.count > 1 ? shape[1] : 1) : rows
    guard count == wanted else { throw refused("\(wanted) factors of a weight \(shape)", "\(count)") }
    return (.factors(name, onInput: onInput), nil, columns)
  }

  /// Lengths of rows, `[outputs, 1 …]`, or of columns, `[1, inputs …]`.
  private func magnitude() throws(ModelError) -> (name: String, isOfRows: Bool)? {
    guard let name = module.tensors[.magnitude], let extents = extents(.magnitude) else { return nil }
    let count = extents.reduce(1, *)
    let inputs = shape.count > 1 ? shape[1] : 1
    // PEFT writes [1, outputs, 1, 1] for convolutions.
    let isPEFT = name.contains("lora_magnitude_vector")
    if count == rows, isPEFT || extents.first == rows || extents.count == 1 { return (name, true) }
    if !isPEFT, count == inputs, extents.first == 1 { return (name, false) }
    throw .adapter(
      path: file.path, item: name, expected: "lengths of \(rows) rows or \(inputs) columns", found: "\(extents)")
  }

  /// The change of the bias, if there is one.
  ///
  /// - Parameter shape: of the bias; nil if the module has none.
  func biasChange(_ shape: [Int]?) throws(ModelError) -> AdapterChange? {
    guard let name = module.tensors[.biasDifference] else { return nil }
    guard let shape, extents(.biasDifference)?.reduce(1, *) == shape.reduce(1, *) else {
      throw refused("a difference of a bias \(shape ?? [])", "\(extents(.biasDifference) ?? [])")
    }
    return AdapterChange(source: file.source, form: .difference(name), scale: 1, columns: 1)
  }
}
