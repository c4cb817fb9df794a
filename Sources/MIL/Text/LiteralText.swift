internal import Foundation
internal import Kernels

/// Elements of a tensor as a program's text writes them.
struct LiteralText {
  /// Of the tensor, with what was unknown counted.
  let shape: [Int]
  private let texts: [String]

  /// An element that stands for all is written out so often at the most.
  private static let mostRepeated = 1 << 16

  /// - Parameter origin: path of the model, for errors.
  init(_ content: Value.Content, _ type: TensorType, origin: String) throws(MILError) {
    guard var texts = Self.texts(content, type), let shape = Self.shape(type, elements: texts.count) else {
      throw .file(path: origin, reason: "cannot be compiled: the text of a program has no such elements of \(type)")
    }
    let count = shape.reduce(1, *)
    if texts.count == 1, count > 1 { texts = [String](repeating: texts[0], count: count) }
    self.texts = texts
    self.shape = shape
  }

  /// The type's shape if it holds so many elements; one may stand for all, and one unknown size can be counted.
  private static func shape(_ type: TensorType, elements: Int) -> [Int]? {
    if let shape = type.shape {
      guard let count = TensorShape.count(shape) else { return nil }
      return count == elements || (elements == 1 && 1...mostRepeated ~= count) ? shape : nil
    }
    let known = type.dimensions.compactMap { $0 }
    guard known.count == type.dimensions.count - 1, let count = TensorShape.count(known), count > 0,
      elements.isMultiple(of: count)
    else { return nil }
    return type.dimensions.map { $0 ?? elements / count }
  }

  /// Nil of contents that are not the type's.
  private static func texts(_ content: Value.Content, _ type: TensorType) -> [String]? {
    switch (content, type.dataType) {
    case (.floats(let values), .float32): return values.map { hexadecimal(Double($0)) }
    case (.doubles(let values), .float64): return values.map { hexadecimal($0) }
    case (.bools(let values), .bool): return values.map { $0 ? "true" : "false" }
    case (.ints(let values), let stored):
      return isInRange(values.map { Int64($0) }, of: stored) ? values.map { String($0) } : nil
    case (.longInts(let values), .uint64): return values.map { String(UInt64(bitPattern: $0)) }
    case (.longInts(let values), let stored): return isInRange(values, of: stored) ? values.map { String($0) } : nil
    case (.strings(let values), .string):
      // What quotes and line breaks inside of quotes would look like nobody has seen.
      let isPlain = values.allSatisfy { text in
        text.utf8.allSatisfy { $0 >= 32 && $0 != 127 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
      }
      return isPlain ? values.map { "\"\($0)\"" } : nil
    case (.bytes(let data), _): return texts(data, type)
    default: return nil
    }
  }

  private static func isInRange(_ values: [Int64], of type: DataType) -> Bool {
    guard let range = type.integers else { return false }
    return values.allSatisfy { range.contains($0) }
  }

  subscript(index: Int) -> String { texts[index] }

  private static func texts(_ data: Data, _ type: TensorType) -> [String]? {
    let bits = type.dataType.bits
    guard bits > 0 else { return nil }
    let count = type.shape.flatMap { TensorShape.count($0) } ?? data.count * 8 / bits
    func patterns<Number: FixedWidthInteger>(_: Number.Type) -> [Number]? {
      let size = MemoryLayout<Number>.size
      guard data.count.isMultiple(of: size) else { return nil }
      return (0..<data.count / size).map { data.littleEndian(Number.self, at: $0 * size) }
    }
    switch type.dataType {
    case .float16: return patterns(UInt16.self)?.map { hexadecimal(Double(HalfPrecision.decode($0))) }
    case .bfloat16:
      return patterns(UInt16.self)?.map { hexadecimal(Double(Float(bitPattern: UInt32($0) << 16))) }
    case .float32: return patterns(UInt32.self)?.map { hexadecimal(Double(Float(bitPattern: $0))) }
    case .float64: return patterns(UInt64.self)?.map { hexadecimal(Double(bitPattern: $0)) }
    case .bool: return data.map { $0 != 0 ? "true" : "false" }
    case .int8: return patterns(Int8.self)?.map { String($0) }
    case .int16: return patterns(Int16.self)?.map { String($0) }
    case .int32: return patterns(Int32.self)?.map { String($0) }
    case .int64: return patterns(Int64.self)?.map { String($0) }
    case .uint16: return patterns(UInt16.self)?.map { String($0) }
    case .uint32: return patterns(UInt32.self)?.map { String($0) }
    case .uint64: return patterns(UInt64.self)?.map { String($0) }
    case .uint8, .float8E4M3FN, .float8E5M2: return data.map { String($0) }
    case .int4, .uint1, .uint2, .uint3, .uint4, .uint6:
      guard data.count == (count * bits + 7) / 8 else { return nil }
      return (0..<count).map { index in
        let number = (0..<bits).reduce(0) { sum, bit in
          let at = index * bits + bit
          return sum | Int(data[data.startIndex + at / 8] >> (at % 8) & 1) << bit
        }
        return String(type.dataType == .int4 && number > 7 ? number - 16 : number)
      }
    case .string: return nil
    }
  }

  /// As C99's `%a` with the shortest fraction: `0x1.8p+1`.
  static func hexadecimal(_ x: Double) -> String {
    let sign = x.sign == .minus ? "-" : ""
    if x.isNaN { return "nan" }
    if x.isInfinite { return sign + "inf" }
    if x == 0 { return sign + "0x0p+0" }
    let pattern = x.magnitude.significandBitPattern
    let digits = String(pattern, radix: 16)
    let padded = String(repeating: "0", count: 13 - digits.count) + digits
    let fraction = String(padded.reversed().drop { $0 == "0" }.reversed())
    // A double's own subnormal numbers begin with a zero.
    let (first, exponent) = x.isNormal ? ("1", Int(x.exponent)) : ("0", -1022)
    return "\(sign)0x\(first)\(fraction.isEmpty ? "" : "." + fraction)p\(exponent < 0 ? "" : "+")\(exponent)"
  }
}
