internal import CKernels

/// Half precision to and from 32-bit floats, round to nearest even.
package enum HalfPrecision {
  /// The largest finite number.
  package static let largest: Float = 65_504

  /// Rounds every element to IEEE binary16.
  package static func encode(_ x: Buffer) -> [UInt16] {
    [UInt16](unsafeUninitializedCapacity: x.count) { codes, count in
      sd_float_to_half(x.pointer, codes.baseAddress, x.count)
      count = x.count
    }
  }

  package static func decode(_ codes: [UInt16]) -> Buffer {
    let y = Buffer(uninitialized: codes.count)
    sd_half_to_float(codes, y.pointer, codes.count)
    return y
  }

  package static func encode(_ x: Float) -> UInt16 {
    var x = x
    var code: UInt16 = 0
    sd_float_to_half(&x, &code, 1)
    return code
  }

  package static func decode(_ code: UInt16) -> Float {
    var code = code
    var y: Float = 0
    sd_half_to_float(&code, &y, 1)
    return y
  }

  /// The nearest number that IEEE binary16 can hold.
  package static func round(_ x: Float) -> Float { decode(encode(x)) }

  /// Rounds every element of `x` in place; what exceeds the largest half becomes infinite.
  package static func round(_ x: Buffer) {
    let piece = 65_536
    Parallel.ranges(x.count, grain: piece) { part in
      var codes = [UInt16](repeating: 0, count: min(piece, part.count))
      for start in stride(from: part.lowerBound, to: part.upperBound, by: piece) {
        let count = min(piece, part.upperBound - start)
        sd_float_to_half(x.pointer + start, &codes, count)
        sd_half_to_float(codes, x.pointer + start, count)
      }
    }
  }

  /// `x` with every element rounded to IEEE binary16.
  package static func rounded(_ x: Buffer) -> Buffer { decode(encode(x)) }
}
