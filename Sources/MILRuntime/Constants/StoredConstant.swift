internal import Kernels
internal import MIL

/// Bytes of a package: in a mapped weight file or in the program itself.
enum StoredBytes: Sendable {
  case mapped(MappedFile, Range<Int>)
  case immediate([UInt8])

  var count: Int {
    switch self {
    case .mapped(_, let range): range.count
    case .immediate(let bytes): bytes.count
    }
  }

  func withBytes<Result>(_ body: (RawSpan) -> Result) -> Result {
    switch self {
    case .mapped(let file, let range): file.withBytes(range, body)
    case .immediate(let bytes): body(bytes.span.bytes)
    }
  }

  /// Fewer bytes are worth less than the calls to let go of them and to bring them back.
  private static let leastLetGo = 64 << 10

  /// Lets go of the memory that mapped bytes take.
  func letGo() {
    if case .mapped(let file, let range) = self, range.count >= Self.leastLetGo { file.forget(range) }
  }
}

/// Elements just as a package stores them.
struct StoredConstant: PackedConstant {
  let type: DataType
  let count: Int
  let bytes: StoredBytes
  private let format: RawElements.Format

  /// `nil` for types whose elements are no numbers; the caller has checked the number of bytes.
  init?(_ type: DataType, count: Int, _ bytes: StoredBytes) {
    guard let format = Self.format(type) else { return nil }
    precondition(
      bytes.count == (count * type.bits + 7) / 8, "\(bytes.count) bytes for \(count) × \(type)")
    self.type = type
    self.count = count
    self.bytes = bytes
    self.format = format
  }

  private static func format(_ type: DataType) -> RawElements.Format? {
    switch type {
    case .float16: .half
    case .float32: .single
    case .float64: .double
    case .bfloat16: .brainFloat
    case .int8: .signed(bytes: 1)
    case .int16: .signed(bytes: 2)
    case .int32: .signed(bytes: 4)
    case .int64: .signed(bytes: 8)
    case .uint8: .unsigned(bytes: 1)
    case .uint16: .unsigned(bytes: 2)
    case .uint32: .unsigned(bytes: 4)
    case .uint64: .unsigned(bytes: 8)
    case .int4: .signedNibble
    case .uint1, .uint2, .uint3, .uint4, .uint6: .packed(bits: type.bits)
    case .bool, .string, .float8E4M3FN, .float8E5M2: nil
    }
  }

  func decode(_ range: Range<Int>, into y: Buffer, at offset: Int) {
    bytes.withBytes { RawElements.decode($0, format, range, into: y, at: offset) }
  }

  func letGo() { bytes.letGo() }
}
