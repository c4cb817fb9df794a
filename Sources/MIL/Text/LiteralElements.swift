internal import Foundation
internal import Kernels

/// Elements of a tensor in a program's text, kept as the program stores such elements.
struct LiteralElements {
  private let type: DataType
  private var floats: [Float] = []
  private var doubles: [Double] = []
  private var integers: [Int64] = []
  private var truths: [Bool] = []
  private var texts: [String] = []

  init(_ type: DataType) { self.type = type }

  mutating func read(_ scanner: inout ProgramScanner) throws(MILError) {
    let place = scanner.place()
    switch type {
    case .string: texts.append(try scanner.text())
    case .bool:
      let word = try scanner.name("true or false")
      guard word == "true" || word == "false" else { throw scanner.failure("true or false", at: place) }
      truths.append(word == "true")
    case .float32, .float16, .bfloat16:
      guard let number = Float(try scanner.number("a number")) else { throw scanner.failure("a number", at: place) }
      floats.append(number)
    case .float64:
      guard let number = Double(try scanner.number("a number")) else { throw scanner.failure("a number", at: place) }
      doubles.append(number)
    default:
      guard let number = Self.integer(try scanner.number("a whole number"), type) else {
        throw scanner.failure("a whole number of \(type)", at: place)
      }
      integers.append(number)
    }
  }

  /// A number in the range of a type; of 64 bits without a sign, their pattern.
  private static func integer(_ text: String, _ type: DataType) -> Int64? {
    if type == .uint64 { return UInt64(text).map { Int64(bitPattern: $0) } }
    guard let number = Int64(text), let range = type.integers, range.contains(number) else { return nil }
    return number
  }

  var content: Value.Content {
    switch type {
    case .string: .strings(texts)
    case .bool: .bools(truths)
    case .float32: .floats(floats)
    case .float64: .doubles(doubles)
    case .float16: .bytes(Data(littleEndian: floats.map { HalfPrecision.encode($0) }))
    case .bfloat16: .bytes(Data(littleEndian: floats.map { UInt16($0.bitPattern >> 16) }))
    case .int32: .ints(integers.map { Int32(truncatingIfNeeded: $0) })
    case .int64, .uint64: .longInts(integers)
    case .int16, .uint16: .bytes(Data(littleEndian: integers.map { UInt16(truncatingIfNeeded: $0) }))
    case .uint32: .bytes(Data(littleEndian: integers.map { UInt32(truncatingIfNeeded: $0) }))
    case .int8, .uint8, .float8E4M3FN, .float8E5M2: .bytes(Data(integers.map { UInt8(truncatingIfNeeded: $0) }))
    case .int4, .uint1, .uint2, .uint3, .uint4, .uint6: .bytes(packed)
    }
  }

  /// Elements of fewer than eight bits one behind the other, low bits first.
  private var packed: Data {
    var data = Data(count: (integers.count * type.bits + 7) / 8)
    for (index, element) in integers.enumerated() {
      for bit in 0..<type.bits where element >> bit & 1 == 1 {
        let at = index * type.bits + bit
        data[at / 8] |= 1 << (at % 8)
      }
    }
    return data
  }
}
