internal import Files

/// The cyclic redundancy check of zlib, PNG and Ethernet, so that any tool can repeat it.
///
///     polynomial 0xEDB88320 (reflected), start and final inversion 0xFFFFFFFF
package struct CRC32: Equatable, Sendable {
  private var state: UInt32 = 0xFFFF_FFFF

  package init() {}

  package var value: UInt32 { ~state }

  /// As eight hexadecimal digits.
  var text: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  /// Table `k` holds, for every byte, its effect `k` bytes further on.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var code = UInt32(byte)
      for _ in 0..<8 { code = code & 1 == 1 ? 0xEDB8_8320 ^ (code >> 1) : code >> 1 }
      tables[byte] = code
    }
    for index in 256..<8 * 256 {
      let before = tables[index - 256]
      tables[index] = tables[Int(before & 0xFF)] ^ (before >> 8)
    }
    return tables
  }()

  /// Takes further bytes in, eight at a time.
  package mutating func update(_ bytes: RawSpan) {
    let tables = Self.tables.span
    var code = state
    let words = bytes.byteCount / 8
    for index in 0..<words {
      let word = bytes.element(index, as: UInt64.self) ^ UInt64(code)
      code =
        tables[0x700 | Int(word & 0xFF)] ^ tables[0x600 | Int(word >> 8 & 0xFF)]
        ^ tables[0x500 | Int(word >> 16 & 0xFF)] ^ tables[0x400 | Int(word >> 24 & 0xFF)]
      code ^=
        tables[0x300 | Int(word >> 32 & 0xFF)] ^ tables[0x200 | Int(word >> 40 & 0xFF)]
        ^ tables[0x100 | Int(word >> 48 & 0xFF)] ^ tables[Int(word >> 56)]
    }
    for offset in words * 8..<bytes.byteCount {
      let byte = bytes.element(offset, as: UInt8.self)
      code = tables[Int((code ^ UInt32(byte)) & 0xFF)] ^ (code >> 8)
    }
    state = code
  }

  /// The check of this one's bytes followed by `count` others whose check is `next`.
  ///
  ///     a(x) x^(8 count) + b(x)   modulo the polynomial
  func followed(by next: CRC32, count: Int) -> CRC32 {
    var power: UInt32 = 1 << 23  // x^8
    var shifted = value
    var remaining = count
    while remaining > 0 {
      if remaining & 1 == 1 { shifted = Self.product(shifted, power) }
      power = Self.product(power, power)
      remaining >>= 1
    }
    var result = CRC32()
    result.state = ~(shifted ^ next.value)
    return result
  }

  /// Multiplies polynomials over two elements; the highest bit is the lowest power.
  private static func product(_ a: UInt32, _ b: UInt32) -> UInt32 {
    var b = b
    var sum: UInt32 = 0
    for bit in 0..<32 {
      if a << bit & 1 << 31 != 0 { sum ^= b }
      b = b & 1 == 1 ? 0xEDB8_8320 ^ (b >> 1) : b >> 1
    }
    return sum
  }

  static func of(_ bytes: RawSpan) -> CRC32 {
    var check = CRC32()
    check.update(bytes)
    return check
  }
}
