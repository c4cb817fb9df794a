internal import Kernels
internal import MIL

extension ConstantCall {
  /// Values where the mask says so, zeros elsewhere.
  func sparse() throws(MILError) -> RuntimeValue {
    let values = try value("nonzero_data")
    let shape = try has("shape") ? self.shape() : value("mask").shape
    let mask = try mask("mask", shape)
    guard values.shape == [mask.ones] else {
      throw refuse("nonzero_data", "\(mask.ones) values as the mask has", "\(values.shape)")
    }
    let constant = SparseConstant(mask: mask, values: try numbers("nonzero_data"))
    return RuntimeValue(values.type, shape, .packed(constant))
  }

  /// One bit an element: as bytes of a bit stream before specification 9, as `uint1` later.
  private func mask(_ name: String, _ shape: [Int]) throws(MILError) -> BitMask {
    let count = shape.reduce(1, *)
    let value = try value(name)
    if case .packed(let constant) = value.storage, let mask = constant as? MaskConstant {
      guard mask.count == count else { throw refuse(name, "a bit for each of \(shape)", "\(mask.count)") }
      return mask.bits
    }
    let stored = try stored(name)
    let flat = stored.type == .uint8 && stored.count == (count + 7) / 8 && has("shape")
    guard flat || (stored.type == .uint1 && value.shape == shape) else {
      throw refuse(name, "a bit for each of \(shape)", "\(value.tensorType)")
    }
    return BitMask(stored.bytes, count: count)
  }

  /// The masked elements of a palettized tensor: mask and values.
  func sparsePalette() throws(MILError) -> [RuntimeValue] {
    let shape = try value("indices_mask").shape
    let mask = try mask("indices_mask", shape)
    let indices = try stored("indices_nonzero_data")
    guard indices.count == mask.ones else {
      throw refuse("indices_nonzero_data", "\(mask.ones) as the mask has", "\(indices.count)")
    }
    let (lut, vector, axis) = try palettes(indices.type, shape)
    let table = try numbers("lut").decoded()
    if table.count == 1 << indices.type.bits {
      let palette = PaletteConstant(
        indices.bytes, bits: indices.type.bits, count: indices.count, table: table)
      return [
        masked(mask, shape), RuntimeValue(lut.type, [mask.ones], .packed(palette)),
      ]
    }
    // Palettes by groups: decoded once, as each element's palette depends on its place in the dense
    // tensor.
    var codes = [UInt8](repeating: 0, count: mask.count)
    let packed = indices.decoded()
    var next = 0
    for at in 0..<mask.count where mask[at] {
      codes[at] = UInt8(packed[next])
      next += 1
    }
    var dense = shape
    if vector > 1 { dense[axis] *= vector }
    guard TensorShape.count(dense) != nil else {
      throw .tooLarge(place, what: "a tensor of \(dense)", limit: "\(TensorShape.limit) elements")
    }
    let palette = PaletteConstant(
      .immediate(PackedIndices(codes, bits: indices.type.bits).bytes), bits: indices.type.bits,
      shape: shape, groups: Array(lut.shape.dropLast(2)), table: table, vector: vector,
      vectorAxis: vector > 1 ? axis : -1)
    let wide = vector > 1 ? stretched(mask, shape, axis, vector) : mask
    return [masked(wide, dense), selected(palette, wide, lut.type)]
  }

  /// The masked elements of a quantized tensor: mask and values.
  func sparseBlockwise() throws(MILError) -> [RuntimeValue] {
    let shape = try value("data_mask").shape
    let mask = try mask("data_mask", shape)
    let values = try numbers("nonzero_data")
    guard values.count == mask.ones else {
      throw refuse("nonzero_data", "\(mask.ones) as the mask has", "\(values.count)")
    }
    let dense = try scaled(SparseConstant(mask: mask, values: values), shape)
    return [masked(mask, shape), selected(dense, mask, try value("scale").type)]
  }

  private func masked(_ mask: BitMask, _ shape: [Int]) -> RuntimeValue {
    RuntimeValue(.uint1, shape, .packed(MaskConstant(bits: mask)))
  }

  /// The elements that a mask marks, one after the other.
  private func selected(
    _ dense: any PackedConstant, _ mask: BitMask, _ type: DataType
  ) -> RuntimeValue {
    let all = dense.decoded()
    let values = all.withSpan { all in
      (0..<mask.count).filter { mask[$0] }.map { all[$0] }
    }
    return RuntimeValue(type, [mask.ones], Buffer(values))
  }

  /// Every bit `vector` times along an axis.
  private func stretched(
    _ mask: BitMask, _ shape: [Int], _ axis: Int, _ vector: Int
  ) -> BitMask {
    let strides = TensorShape.strides(shape)
    var view = StridedView(shape: shape, strides: strides)
    view.shape.insert(vector, at: axis + 1)
    view.strides.insert(0, at: axis + 1)
    return BitMask(view.positions().map { mask[$0] })
  }
}

/// A mask that an operation made, as numbers 0 and 1.
struct MaskConstant: PackedConstant {
  let bits: BitMask

  var count: Int { bits.count }
  func decode(_ range: Range<Int>, into y: Buffer, at offset: Int) {
    let row = Buffer(range.map { bits[$0] ? 1 : 0 })
    y.copy(from: row, 0..<row.count, at: offset)
  }
}
