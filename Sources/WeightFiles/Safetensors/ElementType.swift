internal import Kernels

/// How a safetensors file stores the elements of a tensor.
package enum ElementType: String, Sendable, CaseIterable {
  case float64 = "F64"
  case float32 = "F32"
  case float16 = "F16"
  case brainFloat16 = "BF16"
  case float8E4M3 = "F8_E4M3"
  case float8E5M2 = "F8_E5M2"
  case int64 = "I64"
  case int32 = "I32"
  case int16 = "I16"
  case int8 = "I8"
  case uint64 = "U64"
  case uint32 = "U32"
  case uint16 = "U16"
  case uint8 = "U8"
  case boolean = "BOOL"

  package var byteCount: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .brainFloat16, .int16, .uint16: 2
    case .float8E4M3, .float8E5M2, .uint8, .int8, .boolean: 1
    }
  }

  package var isFloat: Bool {
    switch self {
    case .float64, .float32, .float16, .brainFloat16, .float8E4M3, .float8E5M2: true
    case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .boolean: false
    }
  }

  /// Whether the type is one of those whose elements have a scale of their own beside the tensor.
  var isNarrow: Bool { byteCount == 1 && self != .boolean && self != .uint8 }

  /// How the elements become 32-bit floats.
  var format: RawElements.Format {
    switch self {
    case .float64: .double
    case .float32: .single
    case .float16: .half
    case .brainFloat16: .brainFloat
    case .float8E4M3: .float8E4M3
    case .float8E5M2: .float8E5M2
    case .int64, .int32, .int16, .int8: .signed(bytes: byteCount)
    case .uint64, .uint32, .uint16, .uint8, .boolean: .unsigned(bytes: byteCount)
    }
  }
}
