internal import CKernels

/// Stored elements of a file as floats.
package enum RawElements {
  package enum Format: Sendable {
    case half, single, double, brainFloat
    /// Eight bits: sign, four of exponent, three of mantissa, no infinities (OCP E4M3).
    case float8E4M3
    /// Eight bits: sign, five of exponent, two of mantissa (OCP E5M2).
    case float8E5M2
    case signed(bytes: Int), unsigned(bytes: Int)
    /// Two's complement, packed least significant bits first.
    case signedNibble
    case packed(bits: Int)

    package var bits: Int {
      switch self {
      case .half, .brainFloat: 16
      case .float8E4M3, .float8E5M2: 8
      case .single: 32
      case .double: 64
      case .signed(let bytes), .unsigned(let bytes): bytes * 8
      case .signedNibble: 4
      case .packed(let bits): bits
      }
    }
  }

  /// Writes elements `range` of a little-endian array into `y` from `offset` on.
  package static func decode(
    _ bytes: RawSpan, _ format: Format, _ range: Range<Int>, into y: Buffer, at offset: Int
  ) {
    guard !range.isEmpty else { return }
    precondition(
      range.lowerBound >= 0 && (range.upperBound * format.bits + 7) / 8 <= bytes.byteCount
        && offset >= 0 && offset + range.count <= y.count,
      "elements \(range) of \(bytes.byteCount) bytes reach outside their buffers")
    bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      let to = y.pointer + offset
      let from = base + range.lowerBound * format.bits / 8
      switch format {
      case .half: aligned(from, range.count, UInt16.self) { sd_half_to_float($0, to, range.count) }
      case .brainFloat:
        aligned(from, range.count, UInt16.self) { sd_bfloat_to_float($0, to, range.count) }
      case .single: UnsafeMutableRawPointer(to).copyMemory(from: from, byteCount: range.count * 4)
      case .double:
        convert(from, range.count, to) { (bits: UInt64) in Float(Double(bitPattern: bits)) }
      case .signed(1): convert(from, range.count, to) { (value: Int8) in Float(value) }
      case .signed(2): convert(from, range.count, to) { (value: Int16) in Float(value) }
      case .signed(4): convert(from, range.count, to) { (value: Int32) in Float(value) }
      case .signed: convert(from, range.count, to) { (value: Int64) in Float(value) }
      case .unsigned(1): convert(from, range.count, to) { (value: UInt8) in Float(value) }
      case .unsigned(2): convert(from, range.count, to) { (value: UInt16) in Float(value) }
      case .unsigned(4): convert(from, range.count, to) { (value: UInt32) in Float(value) }
      case .unsigned: convert(from, range.count, to) { (value: UInt64) in Float(value) }
      case .float8E4M3: lookUp(bytes, 8, range, float8E4M3, to)
      case .float8E5M2: lookUp(bytes, 8, range, float8E5M2, to)
      case .signedNibble: lookUp(bytes, 4, range, nibbles, to)
      case .packed(let bits): lookUp(bytes, bits, range, wholes, to)
      }
    }
  }

  private static let wholes = (0..<256).map { Float($0) }
  private static let nibbles = (0..<16).map { Float($0 < 8 ? $0 : $0 - 16) }

  private static let float8E4M3 = (0..<256).map { float8($0, exponentBits: 4, hasInfinity: false) }
  private static let float8E5M2 = (0..<256).map { float8($0, exponentBits: 5, hasInfinity: true) }

  /// What a code of eight bits means.
  private static func float8(_ code: Int, exponentBits: Int, hasInfinity: Bool) -> Float {
    let mantissaBits = 7 - exponentBits
    let (exponent, mantissa) = ((code & 0x7F) >> mantissaBits, code & (1 << mantissaBits - 1))
    let sign: Float = code < 128 ? 1 : -1
    let (bias, step) = (1 << (exponentBits - 1) - 1, Float(mantissa) / Float(1 << mantissaBits))
    let isLast = exponent == 1 << exponentBits - 1
    if isLast, hasInfinity { return mantissa == 0 ? sign * .infinity : .nan }
    if isLast, mantissa == 1 << mantissaBits - 1 { return .nan }
    return exponent == 0
      ? Float(sign: .plus, exponent: 1 - bias, significand: sign * step)
      : Float(sign: .plus, exponent: exponent - bias, significand: sign * (1 + step))
  }

  private static func lookUp(
    _ bytes: UnsafeRawBufferPointer, _ bits: Int, _ range: Range<Int>, _ table: [Float],
    _ y: UnsafeMutablePointer<Float>
  ) {
    guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
    sd_look_up(base, bytes.count, UInt32(bits), range.lowerBound, range.count, table, y)
  }

  private static func convert<Number: FixedWidthInteger>(
    _ from: UnsafeRawPointer, _ count: Int, _ to: UnsafeMutablePointer<Float>,
    _ value: (Number) -> Float
  ) {
    for index in 0..<count {
      let offset = index * MemoryLayout<Number>.size
      to[index] = value(from.loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
  }

  /// Lends `count` numbers, copied first if they begin at an odd address.
  private static func aligned<Number: BitwiseCopyable>(
    _ from: UnsafeRawPointer, _ count: Int, _: Number.Type, _ body: (UnsafePointer<Number>) -> Void
  ) {
    if UInt(bitPattern: from) % UInt(MemoryLayout<Number>.alignment) == 0 {
      body(from.assumingMemoryBound(to: Number.self))
    } else {
      let copy = (0..<count).map {
        from.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Number>.size, as: Number.self)
      }
      copy.withUnsafeBufferPointer { if let base = $0.baseAddress { body(base) } }
    }
  }
}

extension HalfPrecision {
  /// Rounds `count` elements from `offset` on to IEEE binary16, in place.
  package static func round(_ x: Buffer, at offset: Int, count: Int) {
    precondition(
      offset >= 0 && count >= 0 && offset + count <= x.count, "rounding outside a buffer")
    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: 1024) { codes in
      guard let codes = codes.baseAddress else { return }
      for start in stride(from: 0, to: count, by: 1024) {
        let part = min(1024, count - start)
        sd_float_to_half(x.pointer + offset + start, codes, part)
        sd_half_to_float(codes, x.pointer + offset + start, part)
      }
    }
  }
}
