internal import Kernels
internal import MIL

/// Turns the constants of a program into values, checking that payload and declared type agree.
struct ConstantReader: Sendable {
  let package: ModelPackage

  /// Float constants up to this many elements are decoded at once; larger ones stay packed.
  private static let eagerLimit = 8192

  /// - Parameter narrow: whether 8-bit integers stay packed, as the operations on compressed
  /// weights want them.
  func value(
    _ value: Value, _ place: Place, narrow: Bool = false
  ) throws(MILError) -> RuntimeValue {
    guard let type = value.type.tensor, let shape = type.shape, let count = TensorShape.count(shape)
    else {
      throw .program(
        place, expected: "a constant tensor of known shape", found: "\(value.type)")
    }
    switch type.dataType {
    case .string:
      guard case .strings(let texts) = value.content, texts.count == count else {
        throw mismatch(place, type, value)
      }
      return RuntimeValue(.string, shape, .strings(texts))
    case .bool:
      return RuntimeValue(.bool, shape, .booleans(try booleans(value, type, count, place)))
    case .float16, .float32, .float64, .bfloat16:
      return try floats(value, type, shape, count, place)
    case .int8, .uint8:
      guard narrow else { fallthrough }
      return try packed(value, type, shape, count, place)
    case .int16, .int32, .int64, .uint16, .uint32, .uint64:
      return RuntimeValue(
        type.dataType, shape, .integers(try integers(value, type, count, place)))
    case .int4, .uint1, .uint2, .uint3, .uint4, .uint6:
      return try packed(value, type, shape, count, place)
    case .float8E4M3FN, .float8E5M2:
      throw .program(place, expected: "a data type that is supported", found: "\(type.dataType)")
    }
  }

  private func mismatch(_ place: Place, _ type: TensorType, _ value: Value) -> MILError {
    let found =
      switch value.content {
      case .floats(let list): "\(list.count) floats"
      case .doubles(let list): "\(list.count) doubles"
      case .ints(let list): "\(list.count) integers"
      case .longInts(let list): "\(list.count) long integers"
      case .bools(let list): "\(list.count) truth values"
      case .strings(let list): "\(list.count) texts"
      case .bytes(let data): "\(data.count) bytes"
      case .list(let list): "a list of \(list.count)"
      case .tuple(let values): "a tuple of \(values.count)"
      case .dictionary(let entries): "a dictionary of \(entries.count)"
      case .blob: "a record of a weight file"
      }
    return .program(place, expected: "elements of \(type)", found: found)
  }

  /// The stored bytes of a value that has any, checked against type and count.
  private func bytes(
    _ value: Value, _ type: TensorType, _ count: Int, _ place: Place
  ) throws(MILError) -> StoredBytes? {
    switch value.content {
    case .blob(let file, let offset):
      let record = try package.weights(file: file, offset: offset)
      try record.check(type.dataType, count: count)
      return .mapped(record.file, record.range)
    case .bytes(let data):
      guard data.count == (count * type.dataType.bits + 7) / 8 else {
        throw mismatch(place, type, value)
      }
      return .immediate([UInt8](data))
    default: return nil
    }
  }

  private func packed(
    _ value: Value, _ type: TensorType, _ shape: [Int], _ count: Int, _ place: Place
  ) throws(MILError) -> RuntimeValue {
    guard let bytes = try bytes(value, type, count, place),
      let constant = StoredConstant(type.dataType, count: count, bytes)
    else { throw mismatch(place, type, value) }
    return RuntimeValue(type.dataType, shape, .packed(constant))
  }

  private func floats(
    _ value: Value, _ type: TensorType, _ shape: [Int], _ count: Int, _ place: Place
  ) throws(MILError) -> RuntimeValue {
    switch value.content {
    case .floats(let list) where list.count == count && type.dataType == .float32:
      return RuntimeValue(type.dataType, shape, Buffer(list))
    case .doubles(let list) where list.count == count && type.dataType == .float64:
      return RuntimeValue(type.dataType, shape, Buffer(list.map { Float($0) }))
    default:
      let value = try packed(value, type, shape, count, place)
      guard count <= Self.eagerLimit, let floats = value.floats else { return value }
      return RuntimeValue(type.dataType, shape, floats)
    }
  }

  private func booleans(
    _ value: Value, _ type: TensorType, _ count: Int, _ place: Place
  ) throws(MILError) -> [Bool] {
    switch value.content {
    case .bools(let list) where list.count == count: return list
    case .bytes(let data) where data.count == count: return data.map { $0 != 0 }
    default: throw mismatch(place, type, value)
    }
  }

  private func integers(
    _ value: Value, _ type: TensorType, _ count: Int, _ place: Place
  ) throws(MILError) -> [Int32] {
    switch value.content {
    case .ints(let list) where list.count == count: return list
    case .longInts(let list) where list.count == count:
      var integers: [Int32] = []
      for number in list {
        guard let number = Int32(exactly: number) else {
          throw .program(place, expected: "integers of 32 bits", found: "\(number)")
        }
        integers.append(number)
      }
      return integers
    default:
      guard let bytes = try bytes(value, type, count, place) else {
        throw mismatch(place, type, value)
      }
      return try integers(bytes, type.dataType, count, place)
    }
  }

  private func integers(
    _ bytes: StoredBytes, _ type: DataType, _ count: Int, _ place: Place
  ) throws(MILError) -> [Int32] {
    let size = type.bits / 8
    let signed: Set<DataType> = [.int8, .int16, .int32, .int64]
    let numbers: [Int32?] = bytes.withBytes { bytes in
      (0..<count).map { index in
        var bits: UInt64 = 0
        for byte in 0..<size {
          let value = bytes.unsafeLoadUnaligned(fromByteOffset: index * size + byte, as: UInt8.self)
          bits |= UInt64(value) << UInt64(byte * 8)
        }
        let shift = UInt64(64 - size * 8)
        return signed.contains(type)
          ? Int32(exactly: Int64(bitPattern: bits << shift) >> Int64(shift))
          : Int32(exactly: bits)
      }
    }
    var integers: [Int32] = []
    integers.reserveCapacity(count)
    for number in numbers {
      guard let number else {
        throw .program(place, expected: "integers of 32 bits", found: "a larger one")
      }
      integers.append(number)
    }
    return integers
  }
}
