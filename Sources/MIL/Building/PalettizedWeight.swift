internal import Foundation
package import Kernels

/// A weight tensor as palette indices, ready to be stored.
package struct PalettizedWeight: Sendable {
  /// The entries of all palettes, `[groups, 2^bits, vector]`.
  package enum Table: Sendable {
    /// IEEE binary16.
    case half([UInt16])
    /// Whole numbers, times a half-precision scale for each group.
    case int8([Int8], scales: [UInt16])
  }

  /// Of the dense tensor.
  package var shape: [Int]
  /// Row-major; where `vector > 1`, one index for `vector` neighbours along `axis`.
  package var indices: PackedIndices
  package var table: Table
  /// Palettes along `axis`, each for an equal number of neighbouring channels.
  package var groups: Int
  /// The channel axis: of groups, vectors and scales.
  package var axis: Int
  /// Numbers in a palette entry, for consecutive channels.
  package var vector: Int
  /// Factors for each channel in half precision, applied after the look-up.
  package var scale: [UInt16]?

  package init(
    shape: [Int], indices: PackedIndices, table: Table, groups: Int = 1, axis: Int = 0,
    vector: Int = 1, scale: [UInt16]? = nil
  ) {
    self.shape = shape
    self.indices = indices
    self.table = table
    self.groups = groups
    self.axis = axis
    self.vector = vector
    self.scale = scale
    precondition(
      shape.indices.contains(axis) && vector > 0 && groups > 0 && shape[axis] % vector == 0
        && shape[axis] / vector % groups == 0
        && indices.count * vector == shape.reduce(1, *)
        && (scale.map { $0.count == shape[axis] } ?? true),
      "palettized \(shape): \(indices.count) indices, \(groups) groups, vectors of \(vector)")
    let entries = groups * (1 << indices.bits) * vector
    switch table {
    case .half(let codes): precondition(codes.count == entries, "\(codes.count) of \(entries)")
    case .int8(let codes, let scales):
      precondition(codes.count == entries && scales.count == groups, "\(codes.count) of \(entries)")
    }
  }

  /// Why a target cannot store this weight, or `nil` if it can.
  package func obstacle(for target: DeploymentTarget) -> String? {
    if !target.paletteBits.contains(indices.bits) {
      return "\(indices.bits)-bit palettes need \(indices.bits == 3 ? "iOS18" : "another width")"
    }
    if target.hasGroupedPalettes { return nil }
    if groups > 1 { return "palettes by groups of channels need iOS18" }
    if vector > 1 { return "palettes of vectors need iOS18" }
    if scale != nil { return "scales of channels need iOS18" }
    if case .int8 = table { return "8-bit palette entries need iOS18" }
    return nil
  }
}

extension PalettizedWeight {
  /// The same with the channels' factors in the palettes, if every channel has a palette of its own: then the products are
  /// rounded as they would be behind the look-up.
  fileprivate func folded() -> PalettizedWeight {
    guard let scale, groups == shape[axis], vector == 1, case .half(let codes) = table else { return self }
    let entries = 1 << indices.bits
    var folded = self
    folded.scale = nil
    folded.table = .half(
      codes.enumerated().map { index, code in
        HalfPrecision.encode(HalfPrecision.decode(code) * HalfPrecision.decode(scale[index / entries]))
      })
    return folded
  }
}

extension ProgramBuilder {
  /// Adds a palettized weight tensor.
  ///
  /// - Parameter type: of what it decodes to, half or single precision; products take one type on both sides.
  /// - Throws: when the target cannot store it; see ``PalettizedWeight/obstacle(for:)``.
  @discardableResult
  package func weight(
    _ name: String, _ weight: PalettizedWeight, type: DataType = .float16
  ) throws(MILError) -> Operand {
    if let obstacle = weight.obstacle(for: target) {
      throw .argument(
        Place(package: "\(target)", operation: "constexpr_lut_to_dense", name: name), name: "lut",
        expected: "a palette that the target knows", found: obstacle)
    }
    guard target.hasGroupedPalettes else { return try flat(name, weight, type) }
    let weight = target.foldsChannelScales ? weight.folded() : weight
    guard let scale = weight.scale else { return try grouped(name, weight, type) }
    let dense = try grouped(name + "_unscaled", weight, type)
    var blocks = [Int](repeating: 1, count: weight.shape.count)
    blocks[weight.axis] = scale.count
    return add(
      "constexpr_blockwise_shift_scale", name: name,
      inputs: [
        "data": [.name(dense.name)],
        "scale": [.value(try numbers(scale, blocks, type))],
      ], attributes: [:], results: [(name, type, weight.shape)])[0]
  }

  /// Half-precision numbers in a type that holds them.
  private func numbers(_ codes: [UInt16], _ shape: [Int], _ type: DataType) throws(MILError) -> Value {
    guard type == .float32 else { return try stored(type, shape, Data(littleEndian: codes)) }
    return try stored(type, shape, HalfPrecision.decode(codes).bytes)
  }

  /// Before specification 9: attributes, and indices as the bytes of the stream.
  private func flat(
    _ name: String, _ weight: PalettizedWeight, _ type: DataType
  ) throws(MILError) -> Operand {
    guard case .half(let codes) = weight.table else { preconditionFailure("checked before") }
    let indices = Data(weight.indices.bytes)
    let shape = weight.shape.map { UInt32($0) }
    return add(
      "constexpr_lut_to_dense", name: name, inputs: [:],
      attributes: [
        "indices": try stored(.uint8, [indices.count], indices),
        "lut": try numbers(codes, [codes.count], type),
        "shape": try stored(.uint32, [shape.count], Data(littleEndian: shape)),
      ], results: [(name, type, weight.shape)])[0]
  }

  /// From specification 9 on: inputs, and indices in a type of their own width.
  private func grouped(
    _ name: String, _ weight: PalettizedWeight, _ type: DataType
  ) throws(MILError) -> Operand {
    guard let indices = DataType.unsigned(bits: weight.indices.bits) else {
      preconditionFailure("checked before")
    }
    var shape = weight.shape
    shape[weight.axis] /= weight.vector
    var groups = [Int](repeating: 1, count: shape.count)
    groups[weight.axis] = weight.groups
    if target.scalesAfterLookup, case .int8(let codes, let scales) = weight.table {
      let entries = groups + [1 << weight.indices.bits, weight.vector]
      let table = Binding.value(try stored(.int8, entries, Data(littleEndian: codes)))
      let whole = try lookup(name + "_codes", weight, indices, shape, table, .int8)
      return add(
        "constexpr_blockwise_shift_scale", name: name,
        inputs: ["data": [.name(whole.name)], "scale": [.value(try numbers(scales, groups, type))]], attributes: [:],
        results: [(name, type, weight.shape)])[0]
    }
    return try lookup(name, weight, indices, shape, try palette(name, weight, groups, type), type)
  }

  /// - Parameter shape: of the indices.
  private func lookup(
    _ name: String, _ weight: PalettizedWeight, _ indices: DataType, _ shape: [Int], _ lut: Binding, _ type: DataType
  ) throws(MILError) -> Operand {
    var inputs: [String: [Binding]] = [
      "indices": [.value(try stored(indices, shape, Data(weight.indices.bytes)))], "lut": [lut],
    ]
    if weight.vector > 1 {
      inputs["vector_axis"] = [
        .value(Value(.tensor(TensorType(.int32, [])), .ints([Int32(weight.axis)])))
      ]
    }
    return add(
      "constexpr_lut_to_dense", name: name, inputs: inputs, attributes: [:],
      results: [(name, type, weight.shape)])[0]
  }

  private func palette(
    _ name: String, _ weight: PalettizedWeight, _ groups: [Int], _ type: DataType
  ) throws(MILError) -> Binding {
    let shape = groups + [1 << weight.indices.bits, weight.vector]
    switch weight.table {
    case .half(let codes):
      return .value(try numbers(codes, shape, type))
    case .int8(let codes, let scales):
      let lut = add(
        "constexpr_blockwise_shift_scale", name: name + "_lut",
        inputs: [
          "data": [.value(try stored(.int8, shape, Data(littleEndian: codes)))],
          "scale": [.value(try numbers(scales, groups + [1, 1], type))],
        ], attributes: [:], results: [(name + "_lut", type, shape)])[0]
      return .name(lut.name)
    }
  }
}
