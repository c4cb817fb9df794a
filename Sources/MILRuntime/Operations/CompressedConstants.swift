internal import Kernels
internal import MIL

/// An operation that makes a constant of constants; it runs once, when a package is loaded, and
/// keeps its result packed.
///
/// Programs before specification 9 give the parameters as attributes, later ones as inputs; the
/// names differ as well.
struct ConstantOperation: Sendable {
  let name: String
  let parameters: Set<String>
  let make: @Sendable (ConstantCall) throws(MILError) -> [RuntimeValue]

  static let all = [
    ConstantOperation(
      name: "constexpr_lut_to_dense", parameters: ["indices", "lut", "shape", "vector_axis"]
    ) { (call) throws(MILError) in
      [call.has("shape") ? try call.flatPalette() : try call.groupedPalette()]
    },
    ConstantOperation(
      name: "constexpr_affine_dequantize",
      parameters: ["quantized_data", "zero_point", "scale", "axis"]
    ) { (call) throws(MILError) in [try call.affine()] },
    ConstantOperation(
      name: "constexpr_blockwise_shift_scale", parameters: ["data", "scale", "offset"]
    ) { (call) throws(MILError) in [try call.blockwise("data")] },
    ConstantOperation(
      name: "constexpr_sparse_to_dense", parameters: ["nonzero_data", "mask", "shape"]
    ) { (call) throws(MILError) in [try call.sparse()] },
    ConstantOperation(name: "constexpr_cast", parameters: ["source_val", "output_dtype"]) {
      (call) throws(MILError) in [try call.cast()]
    },
    ConstantOperation(
      name: "constexpr_lut_to_sparse",
      parameters: ["indices_mask", "indices_nonzero_data", "lut", "vector_axis"]
    ) { (call) throws(MILError) in try call.sparsePalette() },
    ConstantOperation(
      name: "constexpr_sparse_blockwise_shift_scale",
      parameters: ["data_mask", "nonzero_data", "scale", "offset"]
    ) { (call) throws(MILError) in try call.sparseBlockwise() },
  ]
}

/// The arguments of one such operation, all of them constants.
struct ConstantCall: Sendable {
  let place: Place
  let arguments: [String: RuntimeValue]

  /// Elements of a row whose places are listed one by one.
  static let rowLimit = 1 << 24

  func has(_ name: String) -> Bool { arguments[name] != nil }

  func refuse(_ name: String, _ expected: String, _ found: String) -> MILError {
    .argument(place, name: name, expected: expected, found: found)
  }

  func value(_ name: String) throws(MILError) -> RuntimeValue {
    guard let value = arguments[name] else { throw refuse(name, "a constant", "none") }
    return value
  }

  /// A constant of numbers that can be decoded in parts.
  func numbers(_ name: String) throws(MILError) -> any PackedConstant {
    let value = try value(name)
    if let constant = value.constant { return constant }
    guard let whole = value.wholeNumbers, value.type != .bool else {
      throw refuse(name, "numbers", "\(value.type)")
    }
    return DenseConstant(buffer: Buffer(whole.map { Float($0) }))
  }

  /// A constant that is still as the package stores it.
  func stored(_ name: String) throws(MILError) -> StoredConstant {
    guard case .packed(let constant) = try value(name).storage,
      let stored = constant as? StoredConstant
    else { throw refuse(name, "stored elements", "\(try value(name).tensorType)") }
    return stored
  }

  func integer(_ name: String, or standard: Int) throws(MILError) -> Int {
    guard has(name) else { return standard }
    guard case .integers(let values) = try value(name).storage, values.count == 1 else {
      throw refuse(name, "one integer", "\(try value(name).tensorType)")
    }
    return Int(values[0])
  }

  /// The `shape` argument of programs before specification 9.
  func shape() throws(MILError) -> [Int] {
    guard case .integers(let values) = try value("shape").storage else {
      throw refuse("shape", "integers", "\(try value("shape").tensorType)")
    }
    let shape = values.map { Int($0) }
    guard TensorShape.count(shape) != nil else {
      throw refuse("shape", "at most \(TensorShape.limit) elements", "\(shape)")
    }
    return shape
  }

  /// `blocks` divides `shape` axis by axis, and a row is not too long to list.
  func checkBlocks(_ name: String, _ blocks: [Int], _ shape: [Int]) throws(MILError) {
    let fits =
      blocks.count == shape.count
      && zip(blocks, shape).allSatisfy { $0 > 0 ? $1 % $0 == 0 : $0 == $1 }
    guard fits else { throw refuse(name, "sizes that divide \(shape)", "\(blocks)") }
    let row = shape.count > 1 ? shape[1...].reduce(1, *) : shape.reduce(1, *)
    guard row <= Self.rowLimit, (shape.first ?? 1) <= Self.rowLimit else {
      throw .tooLarge(place, what: "a row of \(shape)", limit: "\(Self.rowLimit) elements")
    }
  }
}

extension ConstantCall {
  /// One palette for the whole tensor; indices as bytes of a bit stream.
  fileprivate func flatPalette() throws(MILError) -> RuntimeValue {
    let indices = try stored("indices")
    let lut = try value("lut")
    let shape = try shape()
    guard indices.type == .uint8 else { throw refuse("indices", "uint8", "\(indices.type)") }
    guard let bits = [2: 1, 4: 2, 16: 4, 64: 6, 256: 8][lut.count], lut.shape.count == 1 else {
      throw refuse("lut", "2, 4, 16, 64 or 256 entries", "\(lut.shape)")
    }
    let count = shape.reduce(1, *)
    guard indices.count == PackedIndices.byteCount(count, bits: bits) else {
      throw refuse(
        "indices", "\(PackedIndices.byteCount(count, bits: bits)) bytes for \(shape)",
        "\(indices.count)")
    }
    let palette = PaletteConstant(
      indices.bytes, bits: bits, count: count, table: try numbers("lut").decoded())
    return RuntimeValue(lut.type, shape, .packed(palette))
  }

  /// Palettes by groups, with entries of one number or of several.
  fileprivate func groupedPalette() throws(MILError) -> RuntimeValue {
    let indices = try stored("indices")
    let shape = try value("indices").shape
    let (lut, vector, axis) = try palettes(indices.type, shape)
    var dense = shape
    if vector > 1 { dense[axis] *= vector }
    guard TensorShape.count(dense) != nil else {
      throw .tooLarge(place, what: "a tensor of \(dense)", limit: "\(TensorShape.limit) elements")
    }
    let table = try numbers("lut").decoded()
    let bits = indices.type.bits
    let palette =
      table.count == 1 << bits
      ? PaletteConstant(indices.bytes, bits: bits, count: indices.count, table: table)
      : PaletteConstant(
        indices.bytes, bits: bits, shape: shape, groups: Array(lut.shape.dropLast(2)),
        table: table, vector: vector, vectorAxis: vector > 1 ? axis : -1)
    return RuntimeValue(lut.type, dense, .packed(palette))
  }

  /// Checks a `lut` of `[groups…, 2^bits, vector]` against the shape of its indices.
  func palettes(
    _ type: DataType, _ shape: [Int]
  ) throws(MILError) -> (lut: RuntimeValue, vector: Int, axis: Int) {
    guard let unsigned = DataType.unsigned(bits: type.bits), unsigned == type else {
      throw refuse("indices", "an unsigned type of 1, 2, 3, 4, 6 or 8 bits", "\(type)")
    }
    let lut = try value("lut")
    guard lut.shape.count == shape.count + 2, let vector = lut.shape.last, vector > 0,
      lut.shape[shape.count] == 1 << type.bits
    else {
      throw refuse(
        "lut", "[groups for each of \(shape), \(1 << type.bits), vector]", "\(lut.shape)")
    }
    try checkBlocks("lut", Array(lut.shape.dropLast(2)), shape)
    guard vector > 1 else { return (lut, 1, 0) }
    guard has("vector_axis") else { throw refuse("vector_axis", "an axis", "none") }
    var axis = try integer("vector_axis", or: 0)
    if axis < 0 { axis += shape.count }
    guard shape.indices.contains(axis), vector <= 1 << 16 else {
      throw refuse("vector_axis", "an axis of \(shape)", "\(axis)")
    }
    let row = (shape.count > 1 ? shape[1...].reduce(1, *) : 1) * vector
    guard row <= Self.rowLimit, shape[0] <= Self.rowLimit / vector else {
      throw .tooLarge(place, what: "vectors of \(vector)", limit: "\(Self.rowLimit) elements")
    }
    return (lut, vector, axis)
  }

  /// `scale · (q − zero point)` along one axis.
  fileprivate func affine() throws(MILError) -> RuntimeValue {
    let data = try value("quantized_data")
    let scale = try value("scale")
    guard scale.type == .float16 || scale.type == .float32 else {
      throw refuse("scale", "fp16 or fp32", "\(scale.type)")
    }
    var axis = try integer("axis", or: 0)
    if axis < 0 { axis += data.shape.count }
    guard data.shape.indices.contains(axis) else {
      throw refuse("axis", "an axis of \(data.shape)", "\(axis)")
    }
    let size = data.shape[axis]
    func spread(_ name: String) throws(MILError) -> Buffer {
      let value = try value(name)
      guard value.shape.isEmpty || value.shape == [size] else {
        throw refuse(name, "[] or [\(size)]", "\(value.shape)")
      }
      let numbers = try numbers(name).decoded()
      return value.shape.isEmpty ? Buffer(repeating: numbers[0], count: size) : numbers
    }
    var blocks = [Int](repeating: 1, count: data.shape.count)
    blocks[axis] = size
    try checkBlocks("scale", blocks, data.shape)
    let constant = ScaledConstant(
      try numbers("quantized_data"), shape: data.shape, scale: try spread("scale"),
      shift: try spread("zero_point"), blocks: blocks, roundsToHalf: scale.type == .float16)
    return RuntimeValue(scale.type, data.shape, .packed(constant))
  }

  /// `(data − offset) · scale`, a scale for every block.
  fileprivate func blockwise(_ name: String) throws(MILError) -> RuntimeValue {
    let data = try value(name)
    return RuntimeValue(
      try value("scale").type, data.shape,
      .packed(try scaled(try numbers(name), data.shape)))
  }

  func scaled(
    _ data: any PackedConstant, _ shape: [Int]
  ) throws(MILError) -> ScaledConstant {
    let scale = try value("scale")
    guard scale.type == .float16 || scale.type == .float32 else {
      throw refuse("scale", "fp16 or fp32", "\(scale.type)")
    }
    try checkBlocks("scale", scale.shape, shape)
    if has("offset"), try value("offset").shape != scale.shape {
      throw refuse("offset", "\(scale.shape)", "\(try value("offset").shape)")
    }
    return ScaledConstant(
      data, shape: shape, scale: try numbers("scale").decoded(),
      shift: has("offset") ? try numbers("offset").decoded() : nil, blocks: scale.shape,
      roundsToHalf: scale.type == .float16)
  }

  fileprivate func cast() throws(MILError) -> RuntimeValue {
    let source = try value("source_val")
    guard source.type == .float16, source.constant != nil,
      case .strings(["fp32"]) = try value("output_dtype").storage
    else { throw refuse("source_val", "fp16 to fp32", "\(source.type)") }
    return RuntimeValue(.float32, source.shape, source.storage)
  }
}
