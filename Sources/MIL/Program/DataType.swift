/// What the elements of a tensor are.
///
/// The raw value is the number that the program stores.
package enum DataType: Int32, Sendable, CaseIterable, CustomStringConvertible {
  case bool = 1
  case string = 2
  case float16 = 10
  case float32 = 11
  case float64 = 12
  case bfloat16 = 13
  case int8 = 21
  case int16 = 22
  case int32 = 23
  case int64 = 24
  case int4 = 25
  case uint8 = 31
  case uint16 = 32
  case uint32 = 33
  case uint64 = 34
  case uint4 = 35
  case uint2 = 36
  case uint1 = 37
  case uint6 = 38
  case uint3 = 39
  case float8E4M3FN = 40
  case float8E5M2 = 41

  /// The name the tools print.
  package var description: String {
    switch self {
    case .float16: "fp16"
    case .float32: "fp32"
    case .float64: "fp64"
    case .bfloat16: "bf16"
    case .float8E4M3FN: "fp8e4m3fn"
    case .float8E5M2: "fp8e5m2"
    case .bool: "bool"
    case .string: "string"
    case .int4: "int4"
    case .int8: "int8"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .uint1: "uint1"
    case .uint2: "uint2"
    case .uint3: "uint3"
    case .uint4: "uint4"
    case .uint6: "uint6"
    case .uint8: "uint8"
    case .uint16: "uint16"
    case .uint32: "uint32"
    case .uint64: "uint64"
    }
  }

  /// Bits of one stored element; a string has none.
  package var bits: Int {
    switch self {
    case .string: 0
    case .uint1: 1
    case .uint2: 2
    case .uint3: 3
    case .uint4, .int4: 4
    case .uint6: 6
    case .bool, .int8, .uint8, .float8E4M3FN, .float8E5M2: 8
    case .float16, .bfloat16, .int16, .uint16: 16
    case .float32, .int32, .uint32: 32
    case .float64, .int64, .uint64: 64
    }
  }

  package var isFloat: Bool {
    switch self {
    case .float16, .float32, .float64: true
    default: false
    }
  }

  /// The numbers of a type of whole numbers, as far as they are below 2⁶³; nil of other types.
  var integers: ClosedRange<Int64>? {
    switch self {
    case .int4, .int8, .int16, .int32, .int64: (.min >> (64 - bits))...(.max >> (64 - bits))
    case .uint64: 0 ... .max
    case .uint1, .uint2, .uint3, .uint4, .uint6, .uint8, .uint16, .uint32, .float8E4M3FN, .float8E5M2:
      0...(1 << bits) - 1
    case .bool, .string, .float16, .float32, .float64, .bfloat16: nil
    }
  }

  /// Whole numbers that a program computes with, `bool` not among them.
  package var isInteger: Bool {
    switch self {
    case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64: true
    default: false
    }
  }

  /// An unsigned type for indices into a palette of `2^bits` entries.
  package static func unsigned(bits: Int) -> DataType? {
    switch bits {
    case 1: .uint1
    case 2: .uint2
    case 3: .uint3
    case 4: .uint4
    case 6: .uint6
    case 8: .uint8
    default: nil
    }
  }

  /// The type's number in a weight file's records; `nil` when it cannot be stored there.
  package var blobCode: UInt32? {
    switch self {
    case .float16: 1
    case .float32: 2
    case .uint8: 3
    case .int8: 4
    case .bfloat16: 5
    case .int16: 6
    case .uint16: 7
    case .int4: 8
    case .uint1: 9
    case .uint2: 10
    case .uint4: 11
    case .uint3: 12
    case .uint6: 13
    case .int32: 14
    case .uint32: 15
    case .float8E4M3FN: 16
    case .float8E5M2: 17
    case .bool, .string, .float64, .int64, .uint64: nil
    }
  }
}
